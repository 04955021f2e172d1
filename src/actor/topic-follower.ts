// Follows the log of one topic that spans hosts: hands on each entry once and in order, however often the server was away.
// What the channel brings is taken as it comes; whenever something may be missing, the log is asked.
//
//     starting ──confirmed──▶ asking ──stands where we are──▶ live
//        ▲                     ▲   └──stands further──▶ reading ──level──▶ live
//        └─ refused, later     └───────── gap, hole, another epoch, time for an audit
import type { Bridge, ChannelSubscription, LogPosition } from '../bridge/bridge.ts'
import { decodeLogEntry, type PublishedEntry } from '../bridge/log-entry.ts'
import { backoffMs } from '../lib/backoff.ts'
import { bufferOf } from '../lib/bytes.ts'
import { PolyloopError } from '../lib/errors.ts'
import { NO_TIMER, type TimerHandle, type TimerWheel } from '../timer/wheel.ts'

/**
 * What the bridge refuses is tried again, and so is what the log did not explain; a bridge that is there again is asked at
 * once. The ceiling is a guess: 100,000 topics ask a bridge that is away 13,000 times a second then, and not 400,000.
 */
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 10_000
/** So often a log is told that it is followed, and asked for what no channel brought; sooner if it would be gone by then. */
const AUDIT_MS_MAX = 300_000
/** Audits in the life of a log that nobody appends to. */
const AUDITS_PER_LIFE = 3
/** Entries that come while the log is read, and are kept for behind it; what is beyond is read, too. */
const EARLY_MAX = 1_024
const EARLY_BYTES_MAX = 1024 * 1024
const READ_COUNT = 1_000
/** An answer that is too long is asked for again in so many parts. */
const READ_PARTS = 8
const NOTHING = Buffer.alloc(0)

export interface FollowerEvents {
  /** Where it goes on: the first time, when it returns, and when the log begins a new epoch. */
  began(position: LogPosition): void
  /** The next entry; `payload` is valid during the call only. */
  entry(offset: number, payload: Buffer): void
  /** Entries up to this one are not kept any more. */
  lost(to: number): void
  /** The bridge did not do what it was asked; it is asked again. */
  failed(error: unknown): void
}

export interface FollowerOptions {
  readonly bridge: Pick<Bridge, 'open' | 'read' | 'subscribe'>
  readonly wheel: TimerWheel
  readonly log: string
  readonly ttlSeconds: number
  /** 0 to 1, for the pauses. */
  readonly random: () => number
  /** Where another follower had come to. */
  readonly from?: LogPosition | undefined
  /** The topic has left that place: `began` is told also where the log goes on behind it. */
  readonly isReturning?: boolean
}

type LogPart = Awaited<ReturnType<Bridge['read']>>
type State = 'starting' | 'asking' | 'reading' | 'live' | 'closed'

export class TopicFollower {
  readonly #options: FollowerOptions
  readonly #events: FollowerEvents
  readonly #auditMs: number
  #state: State = 'starting'
  #subscription: ChannelSubscription | undefined
  #timer: TimerHandle = NO_TIMER
  /** 0: not known yet. */
  #epoch: number
  #offset: number
  #early: PublishedEntry[] = []
  #earlyBytes = 0
  /** What is tried when the pause is over, after so many attempts in vain. */
  #retry: (() => void) | undefined
  #attempts = 0
  #isReturning: boolean
  /** Something may be missing behind what is being asked for. */
  #isStale = false

  constructor(options: FollowerOptions, events: FollowerEvents) {
    this.#options = options
    this.#events = events
    this.#epoch = options.from?.epoch ?? 0
    this.#offset = options.from?.offset ?? 0
    this.#isReturning = options.isReturning === true
    this.#auditMs = Math.min(AUDIT_MS_MAX, (options.ttlSeconds * 1_000) / AUDITS_PER_LIFE)
    this.#start()
  }

  get isLive(): boolean {
    return this.#state === 'live'
  }

  /** Hands out all entries that are kept, up to where it is. False: the server did not say, or the log is another one by now. */
  async history(entry: (offset: number, payload: Buffer) => void): Promise<boolean> {
    const epoch = this.#epoch
    try {
      for (let offset = 0; offset < this.#offset; ) {
        const part = await this.#entriesBehind(offset)
        if (part.epoch !== epoch || this.#epoch !== epoch) return false
        const last = part.entries.at(-1)
        if (last === undefined) break
        for (const one of part.entries) entry(one.offset, bufferOf(one.payload))
        offset = last.offset
      }
    } catch (error) {
      this.#events.failed(error)
      return false
    }
    return true
  }

  close(): void {
    this.#state = 'closed'
    this.#options.wheel.cancel(this.#timer)
    this.#retry = undefined
    this.#subscription?.end()
    this.#early = []
  }

  #start(): void {
    const { bridge, log } = this.#options
    this.#state = 'starting'
    const subscription = bridge.subscribe(log, {
      message: (payload) => this.#onMessage(payload),
      gap: () => this.#doubt(),
    })
    this.#subscription = subscription
    subscription.confirmed.then(
      () => this.#ask(),
      (error: unknown) => this.#later(() => this.#start(), error),
    )
  }

  /** Something may be missing; the bridge is there. */
  #doubt(): void {
    if (this.#state === 'live') this.#ask()
    else this.#isStale = true
    if (this.#retry === undefined) return
    this.#attempts = 0
    this.#again()
  }

  #ask(): void {
    if (isClosed(this.#state)) return
    const { bridge, log, ttlSeconds, wheel } = this.#options
    wheel.cancel(this.#timer)
    this.#state = 'asking'
    this.#isStale = false
    const after = this.#epoch === 0 ? undefined : { epoch: this.#epoch, offset: this.#offset }
    bridge.open({ log, ttlSeconds, after }).then(
      (position) => this.#onPosition(position),
      (error: unknown) => this.#later(() => this.#ask(), error),
    )
  }

  #onPosition({ epoch, offset }: LogPosition): void {
    if (isClosed(this.#state)) return
    if (epoch !== this.#epoch) {
      this.#epoch = epoch
      this.#offset = offset
      this.#isReturning = true
    }
    if (this.#isReturning) {
      this.#isReturning = false
      this.#events.began({ epoch, offset: this.#offset })
    }
    if (isClosed(this.#state)) return
    if (offset > this.#offset) this.#read()
    else this.#goLive()
  }

  #read(): void {
    this.#state = 'reading'
    this.#entriesBehind(this.#offset).then(
      ({ epoch, offset, first, entries }) => {
        if (isClosed(this.#state)) return
        if (epoch !== this.#epoch) {
          this.#ask()
          return
        }
        const before = this.#offset
        this.#skipTo(first - 1)
        for (const entry of entries) {
          // Somebody has removed what was before it.
          this.#skipTo(entry.offset - 1)
          this.#take(entry.offset, bufferOf(entry.payload))
        }
        if (isClosed(this.#state)) return
        if (this.#offset >= offset) this.#goLive()
        else if (this.#offset > before) this.#read()
        else this.#later(() => this.#read())
      },
      (error: unknown) => this.#later(() => this.#read(), error),
    )
  }

  /** What stands in the log behind an offset. An entry that is too long for any answer is one without a payload. */
  async #entriesBehind(offset: number): Promise<LogPart> {
    const { bridge, log } = this.#options
    for (let count = READ_COUNT; ; count = Math.ceil(count / READ_PARTS)) {
      try {
        return await bridge.read({ log, offset, count })
      } catch (error) {
        if (!(error instanceof PolyloopError) || error.code !== 'MESSAGE_TOO_LARGE') throw error
        if (count > 1) continue
        const place = await bridge.read({ log, offset, count: 0 })
        const next = Math.max(place.first, offset + 1)
        return next > place.offset ? place : { ...place, entries: [{ offset: next, payload: NOTHING }] }
      }
    }
  }

  #skipTo(offset: number): void {
    if (offset <= this.#offset || isClosed(this.#state)) return
    this.#offset = offset
    this.#events.lost(offset)
  }

  #goLive(): void {
    this.#state = 'live'
    const early = this.#early
    this.#early = []
    this.#earlyBytes = 0
    // One that does not fit although the log was asked is not kept: if the log has it, it is read.
    const isWhole = early.every((entry) => this.#place(entry))
    if (isClosed(this.#state)) return
    if (!isWhole) this.#later(() => this.#ask())
    else if (this.#isStale) this.#ask()
    else {
      this.#attempts = 0
      this.#timer = this.#options.wheel.schedule(this.#auditMs, () => this.#ask())
    }
  }

  #onMessage(bytes: Buffer): void {
    const entry = decodeLogEntry(bytes)
    // Somebody else's message on the channel.
    if (entry === undefined) return
    if (this.#state === 'live' && this.#place(entry)) return
    this.#keepEarly({ ...entry, payload: Buffer.from(entry.payload) })
    if (this.#state === 'live') this.#ask()
  }

  /** False: something is missing before it. */
  #place({ epoch, offset, payload }: PublishedEntry): boolean {
    if (epoch > this.#epoch || (epoch === this.#epoch && offset > this.#offset + 1)) return false
    // Of an epoch that is over: it came by a connection that was slow.
    if (epoch === this.#epoch) this.#take(offset, payload)
    return true
  }

  #keepEarly(entry: PublishedEntry): void {
    if (isClosed(this.#state)) return
    if (this.#early.length >= EARLY_MAX || this.#earlyBytes + entry.payload.length > EARLY_BYTES_MAX) {
      this.#isStale = true
      return
    }
    this.#early.push(entry)
    this.#earlyBytes += entry.payload.length
  }

  #take(offset: number, payload: Buffer): void {
    if (offset !== this.#offset + 1 || isClosed(this.#state)) return
    this.#offset = offset
    this.#events.entry(offset, payload)
  }

  #later(attempt: () => void, error?: unknown): void {
    if (isClosed(this.#state)) return
    if (error !== undefined) this.#events.failed(error)
    if (this.#state === 'live') this.#state = 'asking'
    const { wheel, random } = this.#options
    this.#retry = attempt
    this.#timer = wheel.schedule(backoffMs(this.#attempts++, RETRY_MS_MIN, RETRY_MS_MAX, random), () => this.#again())
  }

  #again(): void {
    const retry = this.#retry
    this.#retry = undefined
    this.#options.wheel.cancel(this.#timer)
    retry?.()
  }
}

// A function, because the compiler believes that handing on an entry cannot change the state.
function isClosed(state: State): boolean {
  return state === 'closed'
}
