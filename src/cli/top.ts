// `polyloop top`: the shards as lanes, live. On a terminal one picture that is redrawn, elsewhere a plain table each time.
import { setTimeout as pause } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { formatDuration, parseDuration } from '../lib/units.ts'
import type { RuntimeReport } from '../observe/report.ts'
import { type AdminArguments, AdminClient, addAdminOptions } from './admin-client.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { topLines } from './top-view.ts'

interface TopArguments extends AdminArguments {
  readonly once?: boolean
  readonly interval: number
  readonly json?: boolean
}

const INTERVAL_MS_MIN = 100
const INTERVAL_MS_MAX = 3_600_000
const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const CLEAR_LINE = '\x1b[K'
const CLEAR_BELOW = '\x1b[J'

export function register(command: Command, context: CommandContext): void {
  addAdminOptions(command)
    .option('--once', 'one picture')
    .addOption(
      new Option('--interval <duration>', 'between two pictures').argParser(parseInterval).default(1_000, '1s'),
    )
    .option('--json', 'the runtime report, one line each')
    .action(async (given: TopArguments) => {
      const interrupt = new AbortController()
      context.takeSignals(() => interrupt.abort())
      context.setStatus(await new Top(given, context, interrupt.signal).run())
    })
}

class Top {
  readonly #given: TopArguments
  readonly #context: CommandContext
  readonly #signal: AbortSignal
  readonly #client: AdminClient
  readonly #isLive: boolean
  #report: RuntimeReport | undefined

  constructor(given: TopArguments, context: CommandContext, signal: AbortSignal) {
    this.#given = given
    this.#context = context
    this.#signal = signal
    this.#client = new AdminClient(given, context.environment)
    this.#isLive = context.stdout.isTTY === true && given.json !== true && given.once !== true
  }

  /** 0 after Ctrl-C or one picture; 1 without a server at the start. Later it waits for the server to come back. */
  async run(): Promise<ExitStatus> {
    const { stdout, stderr } = this.#context
    let entered = false
    try {
      for (;;) {
        const answer = await this.#client.runtime()
        if (this.#signal.aborted) return 0
        if (!answer.ok && (this.#report === undefined || !answer.absent)) {
          stderr.write(`top: ${answer.problem}\n`)
          return 1
        }
        if (answer.ok) this.#report = answer.value
        if (this.#isLive && !entered) {
          entered = true
          stdout.write(ENTER)
        }
        if (this.#report !== undefined) this.#draw(this.#report, answer.ok ? undefined : answer.problem)
        if (this.#given.once === true) return 0
        await pause(this.#given.interval, undefined, { signal: this.#signal })
      }
    } catch (error) {
      if (!this.#signal.aborted) throw error
      return 0
    } finally {
      if (entered) stdout.write(LEAVE)
    }
  }

  /** `problem`: the server does not answer now, and the report is an old one. */
  #draw(report: RuntimeReport, problem: string | undefined): void {
    const { stdout, stderr } = this.#context
    if (this.#isLive) {
      // A stream knows its height when it is a terminal.
      const { columns = 80, rows = 24 } = stdout as { readonly columns?: number; readonly rows?: number }
      const lines = topLines(report, { terminal: true, columns, rows: rows - (problem === undefined ? 0 : 1) })
      if (problem !== undefined) lines.unshift(`\x1b[31m${problem.slice(0, columns)}\x1b[0m`)
      stdout.write(HOME + lines.map((line) => line + CLEAR_LINE).join('\r\n') + CLEAR_BELOW)
    } else if (problem !== undefined) stderr.write(`top: ${problem}\n`)
    else if (this.#given.json === true) stdout.write(`${JSON.stringify(report)}\n`)
    else {
      const unbounded = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY }
      const lines = topLines(report, { terminal: stdout.isTTY === true, ...unbounded })
      stdout.write(`${lines.join('\n')}\n${this.#given.once === true ? '' : '\n'}`)
    }
  }
}

function parseInterval(value: string): number {
  const ms = parseDuration(value)
  if (ms !== undefined && ms >= INTERVAL_MS_MIN && ms <= INTERVAL_MS_MAX) return ms
  const bounds = `${formatDuration(INTERVAL_MS_MIN)} to ${formatDuration(INTERVAL_MS_MAX)}`
  throw new InvalidArgumentError(`It is a duration from ${bounds}.`)
}
