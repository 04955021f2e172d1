// `polyloop load-test`: with a target the general load generator, one target after another; with numbers, or flags alone,
// the load test of the session proxy. Plans, runs, prints.
import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { type LoadTestOptions, parseLoadPlans } from './load/plan.ts'
import { formatReport, type RunReport } from './load/report.ts'
import { runLoad } from './load/run.ts'
import {
  foreignFlagsOf,
  isSessionLoad,
  POSITIONS,
  parseSessionPlan,
  type SessionLoadOptions,
} from './load/session/plan.ts'
import { formatSessionReport } from './load/session/report.ts'
import { problemOf } from './problem.ts'
import { DEFAULT_REDIS_URL } from './redis-address.ts'
import { type ToolIo, toolIo } from './tool-io.ts'

const SCHEMES_TEXT =
  'ws://, wss://, tcp://, udp://, http://, chat://, rooms://, hub:// or session-proxy://host:port[/path?query]'

export function register(command: Command, context: CommandContext): void {
  command
    .usage(
      `[options] <target>
       polyloop load-test [options] ${POSITIONS.map(([name]) => `<${name}>`).join(' ')}
       polyloop load-test [options]`,
    )
    .argument(
      '[target...]',
      `${SCHEMES_TEXT}; or echo: its three ports in turn; or chat, rooms, hub or session-proxy. With numbers, or nothing: the load test of the session proxy`,
    )
    .option('--connections <n>', 'how many (default: "100")')
    .option('--rate <n>', 'open loop: messages per second in all, sent by schedule whatever comes back')
    .option('--window <n>', 'closed loop (default): messages in flight per connection (default: "1")')
    .option('--poisson', 'open loop: random pauses with the same mean, instead of equal ones')
    .option('--size <bytes>', 'of a message (default: "64")')
    .option('--warmup <duration>', 'traffic before anything is measured (default: "2s"); session proxy: idle time (5)')
    .option('--duration <duration>', 'of what is measured (default: "10s")')
    .option('--timeout <duration>', 'for a handshake, or an answer (default: "5s", udp "1s")')
    .option('--ramp <n>', 'new connections per second (default: "2000")')
    .option('--threads <n>', 'of the generator (default: a quarter of the cores)')
    .option(
      '--mode <mode>',
      'tcp: lines come back as "[Conn N] <line>" (prefixed) or as they are (raw); default: prefixed',
    )
    .option('--binary', 'ws: binary messages instead of text')
    .option('--session-keys', 'ws: adds ?session=key-N, so that connections spread over the shards')
    .option('--chat <id>', 'chat: where messages go, an id or a range such as 1-50 (default: "1")')
    .option('--sender <id>', 'chat: who sends, an id or a range; connections take them in turn (default: "1")')
    .option('--subscribers <n>', 'chat, rooms, hub: further connections that must get each message once, in order')
    .option('--files', 'rooms: messages are files of --size')
    .option('--token <jwt>', 'chat, hub, http: authenticates each connection')
    .option('--body <json>', 'http: POST it, instead of GET')
    .option('--insecure', 'wss: accepts any certificate')
    .option('--pid <pid>', 'a process of this machine: its CPU per message and its memory')
    .option('--seed <n>', 'of everything random; a run prints its own')
    .option('--json', 'one JSON object instead of the report')
    .optionsGroup('Load test of the session proxy:')
    .option('--workers <n>', 'sessions, one connection each (default: "100")')
    .option('--test-duration <duration>', 'from the first message to the last (default: "30")')
    .option('--message-interval <duration>', 'between two messages to a session (default: "1")')
    .option('--jitter', 'pauses of 0 to the interval, at random')
    .option('--drain-timeout <duration>', 'how long to wait for what is under way (default: "30")')
    .option('--shutdown-timeout <duration>', 'how long closing may take (default: "10")')
    .option('--ws-host <host>', 'of the session proxy (default: "127.0.0.1")')
    .option('--ws-port <port>', 'of the session proxy (default: "4040")')
    .option('--redis-url <url>', `its Redis (default: $REDIS_URL, else "${DEFAULT_REDIS_URL}")`)
    .option('--redis-max-connections <n>', 'at most; two are needed (default: "30")')
    .option('--redis-connection-timeout-ms <n>', 'for connecting to Redis (default: "5000")')
    .option('--redis-response-timeout-ms <n>', 'for each answer of Redis (default: "3000")')
    .action(async (targets: string[], options: GivenOptions) => {
      const { environment } = context
      if (isSessionLoad(targets)) {
        context.setStatus(await runSessionProxyTest(targets, options, environment, toolIo(context)))
        return
      }
      const [target = '', ...more] = targets
      if (more.length > 0) command.error(`too many arguments: one target at a time, not also ${more.join(' ')}`)
      const foreign = foreignFlagsOf(options)
      if (foreign.length > 0) command.error(`without a target only: ${foreign.join(', ')}`)
      context.setStatus(await runLoadTest(target, options, toolIo(context), environment))
    })
}

type GivenOptions = LoadTestOptions & SessionLoadOptions

/** As `runLoadTest`. `targets` are the numbers of the positional form, or none. */
export async function runSessionProxyTest(
  targets: readonly string[],
  options: GivenOptions,
  environment: Readonly<Record<string, string | undefined>>,
  io: ToolIo,
): Promise<ExitStatus> {
  const { plan, problems } = parseSessionPlan(targets, options, { environment, seed: randomInt(2 ** 32) })
  if (problems !== undefined) {
    for (const problem of problems) io.stderr.write(`load-test: ${problem}\n`)
    return 2
  }
  // The client of Redis is loaded by those who use it.
  const { runSessionLoad } = await import('./load/session/run.ts')
  const report = await runSessionLoad(plan, { clock: systemClock, signal: io.signal, progress: io.stderr })
  if (typeof report === 'string') {
    io.stderr.write(`load-test: ${report}\n`)
    return io.signal.aborted ? 0 : 1
  }
  io.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : formatSessionReport(report))
  return report.ok ? 0 : 1
}

/** 0; 1 when there was an error or a message is missing; 2 when the options make no sense. */
export async function runLoadTest(
  target: string,
  options: LoadTestOptions,
  io: ToolIo,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<ExitStatus> {
  const { plans, problems } = parseLoadPlans(target, options, {
    cores: availableParallelism(),
    seed: randomInt(2 ** 32),
    environment,
  })
  if (problems !== undefined) {
    for (const problem of problems) io.stderr.write(`load-test: ${problem}\n`)
    return 2
  }
  const reports: RunReport[] = []
  for (const plan of plans) {
    if (io.signal.aborted) break
    try {
      const report = await runLoad(plan, { clock: systemClock, signal: io.signal, progress: io.stderr })
      if (options.json !== true) io.stdout.write(`${reports.length > 0 ? '\n' : ''}${formatReport(report)}`)
      reports.push(report)
    } catch (error) {
      // The host is unknown, or a generator thread died: there is nothing to report.
      io.stderr.write(`load-test: ${plan.url}: ${problemOf(error)}\n`)
      return 1
    }
  }
  const ok = reports.every((report) => report.ok)
  if (options.json === true) io.stdout.write(`${JSON.stringify({ ok, runs: reports }, null, 2)}\n`)
  return ok ? 0 : 1
}
