// A shard's way to the room: collects what its connections say, and asks the room to do it, one turn at a time. A turn
// that fails is asked again until the room answers; what it did is done once.
//
//     idle ──push, beat, much consumed──▶ asking ──done──▶ idle
//                                           └── busy, failed ──▶ waiting ──▶ asking
import { PolyloopError } from '../../lib/errors.ts'
import type { Turn, TurnAnswer, TurnItem, TurnResult } from './turn.ts'

/** Items of one turn: so long the room is kept from others. */
const ITEMS_MAX = 256
/** Bytes of one turn, but for a single item that is larger. Well below `ring.messageMax`. */
const BYTES_MAX = 256 * 1024
/** What an item takes beside its content; more than any does. */
const ITEM_BYTES = 1_024
const BUSY_MS = 2
const FAILED_MS = 20
/** A shard with members is heard of so often. */
const BEAT_MS = 1_000
/** For what is left to say when the thread ends. */
const STOP_MS = 500
/** So much that came here is told at once: others may wait for it. */
const CONSUMED_STEP_BYTES = 128 * 1024
/** Told by a thread without members: nobody is there to count what comes, and nobody may wait for it. */
export const EVERYTHING = Number.MAX_SAFE_INTEGER

/**
 * What became of an item, of which records up to `published` tell. Undefined: the room began anew, or has forgotten this
 * shard; nothing was done.
 */
export type Done = (result: TurnResult | undefined, published?: number) => void

export interface RoomLinkOptions {
  /** Names this thread. */
  readonly life: string
  readonly shard: number
  readonly ask: (turn: Turn) => Promise<TurnAnswer>
  readonly after: (ms: number, callback: () => void) => () => void
  /** Members of this shard are in no room any more. */
  readonly lost: () => void
  /** The room did not answer. */
  readonly failed: (error: unknown) => void
  /** There are members here, accepted at least, of whom the room has to know that they live. */
  readonly hasMembers: () => boolean
}

interface Waiting {
  readonly item: TurnItem
  readonly bytes: number
  readonly done: Done | undefined
}

export class RoomLink {
  /** Of the room; 0: it is not known yet. */
  epoch = 0
  /** Bytes of what waits. */
  bytes = 0
  readonly #options: RoomLinkOptions
  #waiting: Waiting[] = []
  #asked: Waiting[] = []
  #phase: 'idle' | 'scheduled' | 'asking' | 'waiting' | 'stopped' = 'idle'
  #sequence = 0
  #asking = 0
  #consumed = 0
  #toldConsumed = 0
  #itemsMax = ITEMS_MAX
  #cancelBeat: (() => void) | undefined
  #stopped: (() => void) | undefined

  constructor(options: RoomLinkOptions) {
    this.#options = options
  }

  /** Does not copy: what is in an item must not change. */
  push(item: TurnItem, done?: Done): void {
    const contentBytes = item.kind === 'say' ? (item.content?.length ?? 0) : 0
    const bytes = ITEM_BYTES + contentBytes
    this.#waiting.push({ item, bytes, done })
    this.bytes += bytes
    this.#schedule()
  }

  /** Records up to this position came here. */
  consumed(position: number): void {
    this.#consumed = position
    if (this.#hasConsumed()) this.#schedule()
  }

  /** A connection that moved here knows the room's epoch. False: it is of another room. */
  learn(epoch: number): boolean {
    if (this.epoch === 0) this.epoch = epoch
    return this.epoch === epoch
  }

  /** A record of another room came: this one is no more. */
  begunAnew(epoch: number): void {
    if (this.epoch === epoch || this.epoch === 0) return
    this.#lose(epoch)
  }

  /** Says that there is a new thread: members of one that died in its place are gone. */
  hello(): void {
    this.#schedule()
  }

  /** Settles when everything was said, or the room does not answer in time. */
  stop(): Promise<void> {
    this.#cancelBeat?.()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#stopped = () => {
      this.#phase = 'stopped'
      resolve()
    }
    if (this.#phase === 'idle') this.#stopped()
    else this.#options.after(STOP_MS, this.#stopped)
    return promise
  }

  /** Members came: the room has to hear of them. */
  beat(): void {
    if (this.#cancelBeat !== undefined || this.#stopped !== undefined) return
    this.#cancelBeat = this.#options.after(BEAT_MS, () => {
      this.#cancelBeat = undefined
      if (!this.#options.hasMembers()) return
      this.#schedule()
      this.beat()
    })
  }

  #schedule(): void {
    if (this.#phase !== 'idle') return
    this.#phase = 'scheduled'
    // What this turn of the loop still brings goes along.
    queueMicrotask(() => {
      if (this.#phase === 'scheduled') this.#begin()
    })
  }

  #begin(): void {
    const batch: Waiting[] = []
    let bytes = 0
    for (const waiting of this.#waiting) {
      if (batch.length === this.#itemsMax || (batch.length > 0 && bytes + waiting.bytes > BYTES_MAX)) break
      batch.push(waiting)
      bytes += waiting.bytes
    }
    this.#waiting = this.#waiting.slice(batch.length)
    this.#asked = batch
    this.#sequence++
    this.#ask()
  }

  #ask(): void {
    this.#phase = 'asking'
    const { life, shard, ask, failed, hasMembers } = this.#options
    const asking = ++this.#asking
    // An answer that the room gave before it began anew finds another turn open.
    const isOpen = (): boolean => this.#phase === 'asking' && this.#asking === asking
    const consumed = this.#consumed
    const turn: Turn = {
      life,
      shard,
      epoch: this.epoch,
      sequence: this.#sequence,
      consumed: hasMembers() ? consumed : EVERYTHING,
      items: this.#asked.map(({ item }) => item),
    }
    ask(turn).then(
      (answer) => {
        if (!isOpen()) return
        this.#toldConsumed = consumed
        this.#answered(answer)
      },
      (error: unknown) => {
        if (!isOpen()) return
        failed(error)
        if (error instanceof PolyloopError && error.code === 'MESSAGE_TOO_LARGE') this.#shrink()
        this.#askAgain(FAILED_MS)
      },
    )
  }

  #answered(answer: TurnAnswer): void {
    if (answer.state === 'done') {
      this.epoch = answer.epoch
      const asked = this.#takeAsked()
      this.#phase = 'idle'
      for (let index = 0; index < asked.length; index++) {
        asked[index]?.done?.(answer.results[index], answer.published)
      }
      this.#goOn()
    } else if (answer.state === 'busy') this.#askAgain(BUSY_MS)
    else this.#lose(answer.epoch)
  }

  #askAgain(ms: number): void {
    this.#phase = 'waiting'
    this.#options.after(ms, () => {
      if (this.#phase === 'waiting') this.#ask()
    })
  }

  /** With `ring.messageMax` so small, one item is a turn; what does not fit even so is not sent, and its sender ends. */
  #shrink(): void {
    this.#itemsMax = 1
    const [first, ...rest] = this.#asked
    if (first === undefined || rest.length > 0) {
      this.#waiting = [...rest, ...this.#waiting]
      this.#asked = first === undefined ? [] : [first]
      return
    }
    this.#takeAsked()
    first.done?.('gone')
  }

  /**
   * Logins go to the room that is there now, and the ends of their connections behind them, lest somebody stays who is
   * not there. Whatever else was said was said in another room.
   */
  #lose(epoch: number): void {
    const all = [...this.#takeAsked(), ...this.#waiting]
    const joining = new Set(all.filter(({ item }) => item.kind === 'login').map(({ item }) => item.id))
    const isKept = ({ item: { kind, id } }: Waiting): boolean =>
      joining.has(id) && (kind === 'login' || kind === 'leave' || kind === 'over')
    this.#waiting = all.filter(isKept)
    this.bytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0)
    this.epoch = epoch
    this.#sequence = 0
    this.#consumed = 0
    this.#toldConsumed = 0
    this.#phase = 'idle'
    for (const waiting of all) if (!isKept(waiting)) waiting.done?.(undefined)
    this.#options.lost()
    this.#goOn()
  }

  #takeAsked(): readonly Waiting[] {
    const asked = this.#asked
    this.#asked = []
    for (const { bytes } of asked) this.bytes -= bytes
    return asked
  }

  #goOn(): void {
    if (this.#waiting.length === 0) this.#stopped?.()
    if (this.#waiting.length > 0 || this.#hasConsumed()) this.#schedule()
  }

  /** Without members it would tell EVERYTHING: what comes for somebody who is not accepted yet is nobody's. */
  #hasConsumed(): boolean {
    return this.#consumed - this.#toldConsumed >= CONSUMED_STEP_BYTES && this.#options.hasMembers()
  }
}
