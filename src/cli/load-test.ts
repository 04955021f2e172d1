// `polyloop load-test <target>`: the general load generator. Plans, runs one target after another, prints.
import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { type LoadTestOptions, parseLoadPlans } from './load/plan.ts'
import { formatReport, type RunReport } from './load/report.ts'
import { runLoad } from './load/run.ts'
import { type ToolIo, toolIo } from './tool-io.ts'

export function register(command: Command, context: CommandContext): void {
  command
    .argument(
      '<target>',
      'ws://, wss://, tcp://, udp://, http:// or chat://host:port[/path?query]; or echo: its three ports in turn; or chat',
    )
    .option('--connections <n>', 'how many', '100')
    .option('--rate <n>', 'open loop: messages per second in all, sent by schedule whatever comes back')
    .option('--window <n>', 'closed loop (default): messages in flight per connection (default: "1")')
    .option('--poisson', 'open loop: random pauses with the same mean, instead of equal ones')
    .option('--size <bytes>', 'of a message (default: "64")')
    .option('--warmup <duration>', 'traffic before anything is measured', '2s')
    .option('--duration <duration>', 'of what is measured', '10s')
    .option('--timeout <duration>', 'for a handshake, or an answer (default: "5s", udp "1s")')
    .option('--ramp <n>', 'new connections per second', '2000')
    .option('--threads <n>', 'of the generator (default: a quarter of the cores)')
    .option('--mode <mode>', 'tcp: lines come back as "[Conn N] <line>" (prefixed) or as they are (raw)', 'prefixed')
    .option('--binary', 'ws: binary messages instead of text')
    .option('--session-keys', 'ws: adds ?session=key-N, so that connections spread over the shards')
    .option('--chat <id>', 'chat: where messages go, an id or a range such as 1-50 (default: "1")')
    .option('--sender <id>', 'chat: who sends, an id or a range; connections take them in turn (default: "1")')
    .option('--subscribers <n>', 'chat: further connections that must get each message once, in order')
    .option('--token <jwt>', 'chat, http: authenticates each connection')
    .option('--body <json>', 'http: POST it, instead of GET')
    .option('--insecure', 'wss: accepts any certificate')
    .option('--pid <pid>', 'a process of this machine: its CPU per message and its memory')
    .option('--seed <n>', 'of everything random; a run prints its own')
    .option('--json', 'one JSON object instead of the report')
    .action(async (target: string, options: LoadTestOptions) => {
      context.setStatus(await runLoadTest(target, options, toolIo(context)))
    })
}

/** 0; 1 when there was an error or a message is missing; 2 when the options make no sense. */
export async function runLoadTest(target: string, options: LoadTestOptions, io: ToolIo): Promise<ExitStatus> {
  const { plans, problems } = parseLoadPlans(target, options, {
    cores: availableParallelism(),
    seed: randomInt(2 ** 32),
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
      io.stderr.write(`load-test: ${plan.url}: ${error instanceof Error ? error.message : String(error)}\n`)
      return 1
    }
  }
  const ok = reports.every((report) => report.ok)
  if (options.json === true) io.stdout.write(`${JSON.stringify({ ok, runs: reports }, null, 2)}\n`)
  return ok ? 0 : 1
}
