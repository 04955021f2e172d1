// Warnings of the log as events: which lines, and what of them. Never what a line says beyond its name, because that may
// be a payload or a secret; never lines of the hub, because telling of them could make more of them. [PROTOCOLS 4.4]
import type { Clock } from '../../lib/clock.ts'

const LEVELS = ['warn', 'error', 'fatal'] as const
type Level = (typeof LEVELS)[number]
const PREFIXES = LEVELS.map((level) => `{"level":"${level}"`)
/** Of one process: a storm in the log must not become one of events. */
const EVENTS_PER_SECOND = 20
const OWN_SERVICE = 'hub'
const OWN_TOPICS = 'hub.'
const WITHOUT_SERVICE = 'polyloop'

export type ToldLine = (level: Level, data: object) => void

export class LogEvents {
  readonly #clock: Clock
  readonly #told: ToldLine
  #windowMs = Number.NEGATIVE_INFINITY
  #count = 0
  #waiting: string[] = []
  #flush: NodeJS.Immediate | undefined

  constructor(clock: Clock, told: ToldLine) {
    this.#clock = clock
    this.#told = told
  }

  readonly lines = (lines: string): void => {
    for (const line of lines.split('\n')) {
      if (!PREFIXES.some((prefix) => line.startsWith(prefix)) || !this.#admits()) continue
      this.#waiting.push(line)
      // Not in the middle of whatever is being logged.
      this.#flush ??= setImmediate(() => this.#tell())
    }
  }

  stop(): void {
    clearImmediate(this.#flush)
  }

  #tell(): void {
    this.#flush = undefined
    const lines = this.#waiting
    this.#waiting = []
    for (const line of lines) {
      const { level, event, service, connection, topic } = JSON.parse(line) as Readonly<Record<string, unknown>>
      if (service === OWN_SERVICE || String(topic).startsWith(OWN_TOPICS)) continue
      this.#told(level as Level, {
        level,
        message: event,
        service: service ?? WITHOUT_SERVICE,
        correlation_id: connection === undefined ? null : String(connection),
      })
    }
  }

  #admits(): boolean {
    const nowMs = this.#clock.nowMs()
    if (nowMs - this.#windowMs >= 1_000) {
      this.#windowMs = nowMs
      this.#count = 0
    }
    return ++this.#count <= EVENTS_PER_SECOND
  }
}
