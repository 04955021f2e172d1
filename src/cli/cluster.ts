// `polyloop cluster`: a redis-server and several hosts on this machine, until Ctrl-C. For trying things out and for seeing
// what a cluster does when a part of it dies; a cluster that serves has one host per machine: docs/CLUSTER.md.
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { Cluster } from './cluster/cluster.ts'
import { leaveFolder, takeFolder } from './cluster/folder.ts'
import { HOSTS_MAX, hostPlans, PORT_STEP, planProblems, REDIS_PORT, settingProblems } from './cluster/plan.ts'
import { takenPorts } from './cluster/port.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { type ConfigArguments, loadEffectiveConfig } from './effective-config.ts'
import { OptionReader } from './option-reader.ts'
import { canInstall, findProgram, installPackage } from './program.ts'
import { openRedis } from './redis-tool.ts'
import { toolIo } from './tool-io.ts'

const HOSTS = 3
const SHIFT_MAX = 50_000
const FOLDER = join('data', 'cluster')

interface ClusterArguments extends ConfigArguments {
  readonly hosts?: string
  readonly shift?: string
  readonly redisUrl?: string
  readonly data?: string
  readonly verbose?: boolean
}

export function register(command: Command, context: CommandContext): void {
  command
    .option('--hosts <count>', `how many, 2 to ${HOSTS_MAX}`, String(HOSTS))
    .option('--shift <count>', 'added to every port, to run beside something else', '0')
    .option('--redis-url <url>', `a Redis that is there already (default: one of its own, on port ${REDIS_PORT})`)
    .option(
      '--data <folder>',
      `for logs, files of the hosts and Redis' data (default: ${FOLDER}, with a shift ${FOLDER}-<shift>)`,
    )
    .option('-c, --config <file>', 'YAML file of all hosts (default: the config/cluster.yaml that comes along)')
    .option('--set <key=value>', 'set an option of all hosts; repeatable', collect)
    .option('--verbose', 'shows all lines of the logs, not only what is worth a look')
    .addHelpText(
      'after',
      `\nHost 1 has the ports of the configuration, each further host ${PORT_STEP} more: 8080, ${8080 + PORT_STEP}, …`,
    )
    .action(async (given: ClusterArguments) => {
      context.setStatus(await runCluster(given, context))
    })
}

/** 0 when Ctrl-C ended it and all of it ended in good order; 1 when something did not start or end; 2 for senseless options. */
export async function runCluster(given: ClusterArguments, context: CommandContext): Promise<ExitStatus> {
  const reader = new OptionReader(given)
  const hosts = reader.whole('hosts', HOSTS, 2, HOSTS_MAX)
  const shift = reader.whole('shift', 0, 0, SHIFT_MAX)
  for (const problem of settingProblems(given.set ?? [])) reader.problem(problem)
  for (const problem of reader.problems) context.stderr.write(`cluster: ${problem}\n`)
  if (reader.problems.size > 0) return 2

  const root = dirname(createRequire(import.meta.url).resolve('polyloop/package.json'))
  const config = given.config ?? join(root, 'config', 'cluster.yaml')
  const redisPort = given.redisUrl === undefined ? REDIS_PORT + shift : undefined
  const redisUrl = given.redisUrl ?? `redis://127.0.0.1:${redisPort}`
  const loaded = await loadEffectiveConfig({ config, set: given.set ?? [] }, context.environment)
  const data = resolve(given.data ?? (shift === 0 ? FOLDER : `${FOLDER}-${shift}`))
  const plans = hostPlans(loaded, { hosts, shift, data, cores: availableParallelism() })
  const impossible = planProblems(plans, redisPort)
  const problems = impossible.length > 0 ? impossible : await takenPorts(plans, redisPort)
  for (const problem of problems) context.stderr.write(`cluster: ${problem}\n`)
  if (problems.length > 0) {
    context.stderr.write('cluster: --shift 1000, for example, adds to all ports\n')
    return 1
  }
  const taken = takeFolder(data, process.pid)
  if (taken !== undefined) {
    context.stderr.write(`cluster: ${taken}\n`)
    return 1
  }
  try {
    const redis = await redisOf(given.redisUrl, context)
    if (typeof redis === 'number') return redis
    const cluster = new Cluster({
      plans,
      redis: redis === undefined ? undefined : { program: redis, port: REDIS_PORT + shift },
      redisUrl,
      config,
      settings: given.set ?? [],
      loaded: loaded.config,
      root,
      data,
      isVerbose: given.verbose === true,
      context,
    })
    return await cluster.run()
  } finally {
    leaveFolder(data)
  }
}

/** The path of a redis-server; undefined: the one of the URL is there. Or how the tool ends, and it was said why. */
async function redisOf(
  redisUrl: string | undefined,
  context: CommandContext,
): Promise<string | undefined | ExitStatus> {
  if (redisUrl === undefined) return serverProgram(context) ?? 1
  const { environment } = context
  const opened = await openRedis({ tool: 'cluster', redisUrl, environment, io: toolIo(context), problems: [] })
  if (typeof opened === 'number') return opened
  await opened[Symbol.asyncDispose]()
  return undefined
}

function serverProgram({ environment, stdout, stderr }: CommandContext): string | undefined {
  const names = ['redis-server', 'valkey-server']
  let path = findProgram(names, environment)
  if (path === undefined && canInstall(environment)) {
    stdout.write('cluster: there is no redis-server in the PATH; installing it with apt-get\n')
    installPackage('redis-server', environment)
    path = findProgram(names, environment)
  }
  if (path === undefined) {
    stderr.write('cluster: there is no redis-server in the PATH: install it, or name another Redis with --redis-url\n')
  }
  return path
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}
