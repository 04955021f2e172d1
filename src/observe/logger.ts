// Log lines of one thread: JSON, one line an event, flat fields. Where lines go is not its business: it is handed a
// function. Main's end is log-sink.ts.
import { type LevelWithSilent, type Logger as PinoLogger, pino } from 'pino'
import { type Clock, systemClock } from '../lib/clock.ts'
import { textOf } from '../lib/errors.ts'

export const LOG_LEVELS = [
  'trace',
  'debug',
  'info',
  'warn',
  'error',
  'fatal',
  'silent',
] as const satisfies readonly LevelWithSilent[]
export type LogLevel = (typeof LOG_LEVELS)[number]

/** `folder.what_happened` */
export type LogEvent = `${string}.${string}`

/** Flat facts; an Error under `error` becomes its message, code and stack. */
export type LogFields = Readonly<Record<string, unknown>>

/** A longer line is replaced by one that says so: a log is no place for payloads. */
export const LOG_LINE_CHARACTERS_MAX = 16 * 1024

export interface LoggerOptions {
  readonly level: LogLevel
  /** Gets each line, with its newline. Must not throw or wait. */
  readonly write: (line: string) => void
  /** Fields of every line. */
  readonly base: { readonly thread: string; readonly shard?: number }
  readonly clock?: Clock
}

const SECRETS = ['token', 'authorization', 'password', 'secret', 'cookie']
const CAPITAL_SECRETS = ['Authorization', 'Cookie']
const SECRET_PATHS = [...SECRETS, ...CAPITAL_SECRETS].flatMap((name) => [name, `*.${name}`])

export function createLogger(options: LoggerOptions): Logger {
  const clock = options.clock ?? systemClock
  const log = pino(
    {
      level: options.level,
      base: { ...options.base },
      messageKey: 'event',
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '[redacted]' },
    },
    { write: (line: string) => options.write(line.length <= LOG_LINE_CHARACTERS_MAX ? line : shortened(line)) },
  )
  return new Logger(log, clock)
}

export class Logger {
  readonly #log: PinoLogger
  readonly #clock: Clock

  /** @internal Use `createLogger`. */
  constructor(log: PinoLogger, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  debug(event: LogEvent, fields: LogFields = {}): void {
    this.#log.debug(flat(fields), event)
  }

  info(event: LogEvent, fields: LogFields = {}): void {
    this.#log.info(flat(fields), event)
  }

  warn(event: LogEvent, fields: LogFields = {}): void {
    this.#log.warn(flat(fields), event)
  }

  error(event: LogEvent, fields: LogFields = {}): void {
    this.#log.error(flat(fields), event)
  }

  fatal(event: LogEvent, fields: LogFields = {}): void {
    this.#log.fatal(flat(fields), event)
  }

  /** A logger whose lines have these fields too. */
  child(fields: LogFields): Logger {
    return new Logger(this.#log.child(fields), this.#clock)
  }

  /**
   * For an event that peers can cause: at most `perSecond` lines in a second. The first line after a pause says in
   * `suppressed` how many were not written.
   */
  limited(event: LogEvent, perSecond: number): LimitedLogger {
    return new LimitedLogger(this, event, perSecond, this.#clock)
  }
}

export class LimitedLogger {
  readonly #log: Logger
  readonly #event: LogEvent
  readonly #perSecond: number
  readonly #clock: Clock
  #windowStartMs = Number.NEGATIVE_INFINITY
  #written = 0
  #suppressed = 0

  constructor(log: Logger, event: LogEvent, perSecond: number, clock: Clock) {
    this.#log = log
    this.#event = event
    this.#perSecond = perSecond
    this.#clock = clock
  }

  /** Lines not written since the last one that was. */
  get suppressed(): number {
    return this.#suppressed
  }

  debug(fields: LogFields = {}): void {
    if (this.#admits()) this.#log.debug(this.#event, this.#withSuppressed(fields))
  }

  info(fields: LogFields = {}): void {
    if (this.#admits()) this.#log.info(this.#event, this.#withSuppressed(fields))
  }

  warn(fields: LogFields = {}): void {
    if (this.#admits()) this.#log.warn(this.#event, this.#withSuppressed(fields))
  }

  error(fields: LogFields = {}): void {
    if (this.#admits()) this.#log.error(this.#event, this.#withSuppressed(fields))
  }

  #admits(): boolean {
    const nowMs = this.#clock.nowMs()
    if (nowMs - this.#windowStartMs >= 1000) {
      this.#windowStartMs = nowMs
      this.#written = 0
    }
    if (this.#written >= this.#perSecond) {
      this.#suppressed++
      return false
    }
    this.#written++
    return true
  }

  #withSuppressed(fields: LogFields): LogFields {
    if (this.#suppressed === 0) return fields
    const suppressed = this.#suppressed
    this.#suppressed = 0
    return { ...fields, suppressed }
  }
}

/** What a log line says about a thrown value, whatever was thrown. */
export function errorFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: textOf(error) }
  const code = 'code' in error ? { code: String(error.code) } : {}
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {}
  return { error: error.message, ...code, ...cause, stack: error.stack }
}

function flat(fields: LogFields): LogFields {
  return fields.error instanceof Error ? { ...fields, ...errorFields(fields.error) } : fields
}

// Base fields come first in a line and the event last: both are kept, what lies between is not.
function shortened(line: string): string {
  const { level, time, thread, shard, event } = JSON.parse(line) as Record<string, unknown>
  return `${JSON.stringify({ level, time, thread, shard, shortened_characters: line.length, event })}\n`
}
