// One load test of the session proxy, seen from the command: connects to Redis, runs the workers, puts the report together.
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { ToolBridge } from '../../tool-bridge.ts'
import { Progress } from '../progress.ts'
import { seededRandom } from '../random.ts'
import type { RunSurroundings } from '../run.ts'
import { SessionBooks } from './books.ts'
import type { SessionPlan } from './plan.ts'
import { rehearse } from './rehearsal.ts'
import { type SessionReport, sessionReportOf } from './report.ts'
import { SessionWorker } from './worker.ts'

/** Workers that are connecting at a time: a stampede would run into the proxy's own time limits. */
const HANDSHAKES_MAX = 64
/**
 * Workers begin evenly spread over an interval of their messages, but over no more than this: those that begin together
 * would publish together for ever, and measure how long a burst takes.
 */
const SPREAD_MS_MAX = 1_000
/** How soon the first message is noticed: from then on it counts how busy this process is. */
const LOOK_MS = 100

/** The report; or why there was no connection to Redis. */
export async function runSessionLoad(plan: SessionPlan, around: RunSurroundings): Promise<SessionReport | string> {
  const { redis: address, redisConnectTimeoutMs: connectTimeoutMs, redisAnswerTimeoutMs: answerTimeoutMs } = plan
  const opened = await ToolBridge.open({ address, signal: around.signal, connectTimeoutMs, answerTimeoutMs })
  if (typeof opened === 'string') return opened
  await using bridge = opened
  await rehearse(plan, bridge, around)
  using run = new SessionRun(plan, bridge, around)
  return await run.report()
}

class SessionRun implements Disposable {
  readonly #plan: SessionPlan
  readonly #bridge: ToolBridge
  readonly #around: RunSurroundings
  readonly #books = new SessionBooks()
  readonly #random: () => number
  readonly #workers = new Set<SessionWorker>()
  readonly #progress: Progress
  readonly #startMs: number
  readonly #ticker: NodeJS.Timeout
  readonly #looker: NodeJS.Timeout
  /** When the first message had been published. */
  #utilization: ReturnType<typeof performance.eventLoopUtilization> | undefined
  #phase = 'connecting'

  constructor(plan: SessionPlan, bridge: ToolBridge, around: RunSurroundings) {
    this.#plan = plan
    this.#bridge = bridge
    this.#around = around
    this.#random = seededRandom(plan.seed)
    this.#startMs = around.clock.nowMs()
    this.#progress = new Progress(around.progress)
    this.#ticker = setInterval(() => this.#show(), this.#progress.everyMs)
    this.#looker = setInterval(() => {
      if (this.#books.attempts > 0) this.#utilization ??= performance.eventLoopUtilization()
    }, LOOK_MS)
    around.signal.addEventListener('abort', this.#stop, { once: true })
  }

  [Symbol.dispose](): void {
    clearInterval(this.#ticker)
    clearInterval(this.#looker)
    this.#around.signal.removeEventListener('abort', this.#stop)
    this.#progress.end()
  }

  async report(): Promise<SessionReport> {
    const { signal, clock } = this.#around
    const { workers, intervalMs } = this.#plan
    const gapMs = Math.min(intervalMs, SPREAD_MS_MAX) / workers
    const opening = new Gate(HANDSHAKES_MAX)
    const lives: Promise<void>[] = []
    for (let number = 0; number < workers; number++) {
      const waitMs = this.#startMs + number * gapMs - clock.nowMs()
      // It rejects when the run is stopped.
      if (waitMs > 1) await sleep(waitMs, undefined, { signal }).catch(() => undefined)
      await opening.enter()
      if (signal.aborted) break
      lives.push(this.#live(number, opening))
    }
    this.#phase = 'running'
    await Promise.all(lives)
    // Without a message there is nothing that could have been late.
    const busy = this.#utilization === undefined ? 0 : performance.eventLoopUtilization(this.#utilization).utilization
    return sessionReportOf(this.#plan, this.#books, { busy, interrupted: signal.aborted })
  }

  async #live(number: number, opening: Gate): Promise<void> {
    const { clock } = this.#around
    const worker = new SessionWorker(number, {
      plan: this.#plan,
      bridge: this.#bridge,
      books: this.#books,
      clock,
      random: this.#random,
    })
    this.#workers.add(worker)
    let isOpen = false
    try {
      isOpen = await worker.open()
    } finally {
      opening.leave()
    }
    if (isOpen) await worker.work()
    await worker.close()
    this.#workers.delete(worker)
  }

  readonly #stop = (): void => {
    this.#phase = 'ending'
    for (const worker of this.#workers) worker.stop()
  }

  #show(): void {
    const { open, received, errorCount } = this.#books
    this.#progress.show({
      phase: this.#phase,
      elapsedMs: this.#around.clock.nowMs() - this.#startMs,
      open,
      answered: received,
      errors: errorCount,
    })
  }
}

/** So many may be inside; the others wait in line. */
class Gate {
  readonly #waiting: (() => void)[] = []
  #room: number

  constructor(room: number) {
    this.#room = room
  }

  async enter(): Promise<void> {
    if (this.#room > 0) this.#room--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#room++
    else next()
  }
}
