// Keeps threads alive: starts them, watches their heartbeats, replaces the dead and the hung. Knows threads only by
// the few things it needs of them, so that tests can hand it others.
import type { Clock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import { threadLabel } from '../lib/thread.ts'
import type { FigureTable } from '../observe/figure.ts'
import { errorFields, type Logger } from '../observe/logger.ts'
import { type RestartLimits, RestartPolicy } from './restart-policy.ts'

/** How often heartbeats are looked at. */
export const CHECK_MS = 250
/** Without a beat for so long a thread is shown as hung; it is replaced after the hang limit. */
const SUSPECT_MS = 1_000
/** When main itself was late by so much, nobody is judged: everybody may have been stopped (a debugger, a suspend). */
const MAIN_LAG_MS = 1_000

/** One life of a thread. */
export interface ThreadLife {
  /** Rejects when the start fails. */
  readonly ready: Promise<void>
  /** Never rejects. */
  readonly exited: Promise<void>
  terminate(): void
}

/** How a thread went. */
export interface Down {
  /** It gets no successor on its index. */
  readonly isLast: boolean
  /** It was told to end: what it had was taken care of before. */
  readonly isPlanned: boolean
}

export interface SupervisorOptions {
  readonly table: FigureTable
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
  readonly limits: RestartLimits
  /** 0: never replace a hung thread. */
  readonly hangLimitMs: number
  readonly spawn: (thread: number, generation: number) => ThreadLife
  readonly onReady: (thread: number) => void
  /** After its exit, before its successor starts. */
  readonly onDown: (thread: number, how: Down) => void
  /** Settles when its successor may start, as far as others are concerned. */
  readonly settled?: (thread: number) => Promise<void>
}

interface Watched {
  readonly thread: number
  readonly policy: RestartPolicy
  life: ThreadLife
  readyAtMs: number | undefined
  beats: number
  beatAtMs: number
  retry: NodeJS.Timeout | undefined
  /** Its end will be its last. */
  leaving: boolean
  /** It has been told to end. */
  ending: boolean
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #watched = new Map<number, Watched>()
  readonly #timer: NodeJS.Timeout
  #checkedAtMs: number
  #stopped = false
  #retiring = false

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#checkedAtMs = options.clock.nowMs()
    this.#timer = setInterval(() => this.check(), CHECK_MS)
  }

  /** Starts a thread for the first time; rejects when that fails, and does not try again. */
  async start(thread: number): Promise<void> {
    if (this.#stopped || this.#retiring) throw new PolyloopError('RUNTIME_CLOSED', { thread: threadLabel(thread) })
    const { limits, random, clock } = this.#options
    const policy = new RestartPolicy(limits, random)
    const life = this.#spawn(thread)
    const watched: Watched = {
      thread,
      policy,
      life,
      readyAtMs: undefined,
      beats: 0,
      beatAtMs: clock.nowMs(),
      retry: undefined,
      leaving: false,
      ending: false,
    }
    this.#watched.set(thread, watched)
    this.#follow(watched)
    await life.ready
  }

  /** Replaces a thread now. */
  restart(thread: number): void {
    this.#watched.get(thread)?.life.terminate()
  }

  /** It is not replaced any more: its successor has another index. */
  letGo(thread: number): void {
    const watched = this.#watched.get(thread)
    if (watched !== undefined) watched.leaving = true
  }

  /** Ends a thread for good. */
  async end(thread: number): Promise<void> {
    const watched = this.#watched.get(thread)
    if (watched === undefined) return
    watched.leaving = true
    watched.ending = true
    clearTimeout(watched.retry)
    watched.life.terminate()
    await watched.life.exited
    // It had died before, and waited for its successor.
    if (this.#watched.delete(thread)) this.#options.table.setState(thread, 'absent')
  }

  /** Looks at all heartbeats. Called by a timer; by hand in tests. */
  check(): void {
    const { clock, table, log, hangLimitMs } = this.#options
    const nowMs = clock.nowMs()
    const lagged = nowMs - this.#checkedAtMs > CHECK_MS + MAIN_LAG_MS
    this.#checkedAtMs = nowMs
    for (const watched of this.#watched.values()) {
      const { thread } = watched
      const beats = table.beats(thread)
      if (beats !== watched.beats || lagged) {
        watched.beats = beats
        watched.beatAtMs = nowMs
        if (table.state(thread) === 'hung') table.setState(thread, 'ready')
        continue
      }
      const silentMs = nowMs - watched.beatAtMs
      if (silentMs < SUSPECT_MS || watched.readyAtMs === undefined) continue
      if (table.state(thread) === 'ready') table.setState(thread, 'hung')
      if (hangLimitMs === 0 || silentMs < hangLimitMs) continue
      log.error('runtime.thread_hung', { of: threadLabel(thread), silent_ms: Math.round(silentMs) })
      watched.beatAtMs = nowMs
      watched.life.terminate()
    }
  }

  /** From now on nobody is replaced: a successor would open again what is being closed. */
  retire(): void {
    this.#retiring = true
    for (const { retry } of this.#watched.values()) clearTimeout(retry)
  }

  /** No more restarts; ends every thread. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    const exits: Promise<void>[] = []
    for (const { life, retry } of this.#watched.values()) {
      clearTimeout(retry)
      life.terminate()
      exits.push(life.exited)
    }
    await Promise.all(exits)
  }

  #spawn(thread: number): ThreadLife {
    const generation = this.#options.table.begin(thread)
    return this.#options.spawn(thread, generation)
  }

  #follow(watched: Watched): void {
    const { thread, life } = watched
    const { clock, table, log } = this.#options
    life.ready.then(
      () => {
        if (watched.life !== life || this.#stopped) return
        watched.readyAtMs = clock.nowMs()
        watched.beatAtMs = clock.nowMs()
        table.setState(thread, 'ready')
        this.#options.onReady(thread)
      },
      (error: unknown) => {
        if (this.#stopped) return // it was ended while it started: no failure
        log.error('runtime.thread_failed', { of: threadLabel(thread), ...errorFields(error) })
        life.terminate()
      },
    )
    void life.exited.then(() => this.#onExit(watched))
  }

  #onExit(watched: Watched): void {
    const { thread } = watched
    const { clock, table, log, onDown } = this.#options
    table.setState(thread, 'dead')
    const lost = table.settle(thread)
    const readyForMs = watched.readyAtMs === undefined ? 0 : clock.nowMs() - watched.readyAtMs
    watched.readyAtMs = undefined
    if (this.#stopped) return
    if (watched.leaving) {
      this.#watched.delete(thread)
      table.setState(thread, 'absent')
      onDown(thread, { isLast: true, isPlanned: watched.ending })
      if (lost > 0) log.warn('runtime.thread_ended', { of: threadLabel(thread), connections_lost: lost })
      return
    }
    onDown(thread, { isLast: false, isPlanned: false })
    const facts = { of: threadLabel(thread), connections_lost: lost }
    if (this.#retiring) {
      log.error('runtime.thread_exited', facts)
      return
    }
    const delayMs = watched.policy.nextDelayMs(readyForMs)
    log.error('runtime.thread_exited', { ...facts, restart_in_ms: Math.round(delayMs) })
    table.countRestart(thread)
    watched.retry = setTimeout(() => void this.#succeed(watched), delayMs)
  }

  async #succeed(watched: Watched): Promise<void> {
    const { settled, clock } = this.#options
    await settled?.(watched.thread)
    if (this.#stopped || this.#retiring || watched.leaving) return
    watched.life = this.#spawn(watched.thread)
    watched.beatAtMs = clock.nowMs()
    this.#follow(watched)
  }
}
