// Main's part in a move of slots: one step after another, with the threads' word in between. One move of a slot at a
// time; moves of different slots go on side by side. What happens in the threads is in actor/router.ts.
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { SlotMove } from '../actor/router.ts'
import { assert } from '../lib/assert.ts'
import { threadOfSeat } from '../lib/thread.ts'
import type { Logger } from '../observe/logger.ts'
import type { SlotTable } from '../placement/slots.ts'
import type { NoticeToThread } from './thread-data.ts'

/** A new owner that does not answer in this time hangs; it will be replaced, and the move has failed. */
const EXPECT_MS = 10_000

export interface SlotMoverOptions {
  readonly slots: SlotTable
  readonly log: Logger
  /** Threads with a router, main excepted. */
  readonly threads: () => readonly number[]
  readonly notify: (thread: number, notice: NoticeToThread, ports?: readonly MessagePort[]) => void
  /** Main has a router too. */
  readonly main: { readonly thread: number; shift(move: SlotMove): void }
}

/**
 * How a move ended: both ends have done with it; one died on the way, and what it had of the slots is lost; or one died
 * before anything had moved.
 */
export type MoveOutcome = 'moved' | 'cut' | 'dropped'

interface Moving {
  readonly move: SlotMove
  readonly expecting: PromiseWithResolvers<boolean>
  isExpecting: boolean
  /** Ends that have not said that they are done. */
  readonly open: Set<number>
  readonly ended: PromiseWithResolvers<void>
  /** Sources that died since the first step. */
  readonly gone: Set<number>
  isCut: boolean
}

/** After a cut move: what others had sent to the dead thread is read by its successor before slots move again. */
const REST_MS = 3_000
/** A thread that died waits at most so long for the moves it was in before it is started again. */
const SETTLE_MS_MAX = 2_000

export class SlotMover {
  readonly #options: SlotMoverOptions
  readonly #moving = new Map<number, Moving>()
  /** Pairs of threads that have a port, as `low high`. */
  readonly #joined = new Set<string>()
  #rest: Promise<void> = Promise.resolve()
  #count = 0

  constructor(options: SlotMoverOptions) {
    this.#options = options
  }

  /** Gives two shards a port for what moves between them, unless they have one. One that is dead would not get it. */
  join(one: number, other: number): void {
    const key = one < other ? `${one} ${other}` : `${other} ${one}`
    if (one === other || this.#joined.has(key) || !this.#lives(one) || !this.#lives(other)) return
    this.#joined.add(key)
    const { port1, port2 } = new MessageChannel()
    this.#options.notify(one, { kind: 'peer', thread: other, port: port1 }, [port1])
    this.#options.notify(other, { kind: 'peer', thread: one, port: port2 }, [port2])
  }

  /** Moves slots from one seat to another; actors and topics are there then, connections follow. */
  async move(slots: Uint16Array, fromSeat: number, toSeat: number): Promise<MoveOutcome> {
    await this.#rest
    const { threads, notify, main } = this.#options
    const [from, to] = [threadOfSeat(fromSeat), threadOfSeat(toSeat)]
    assert(from !== to, 'a move has two ends')
    if (!this.#lives(to)) return 'dropped'
    // What a dead one had is lost already, and nobody has to wait until it comes back, which may crash it again.
    const isLost = !this.#lives(from)
    this.join(from, to)
    const sources = [main.thread, ...threads()]
    const move: SlotMove = { id: ++this.#count, from, to, slots, sources }
    const moving: Moving = {
      move,
      expecting: Promise.withResolvers(),
      isExpecting: true,
      open: new Set(isLost ? [to] : [from, to]),
      ended: Promise.withResolvers(),
      gone: new Set(),
      isCut: isLost,
    }
    this.#moving.set(move.id, moving)
    const isExpected = await this.#isExpected(moving)
    const down = (): void => notify(to, { kind: 'down', thread: from, planned: true })
    if (!isExpected || (isLost && this.#lives(from))) {
      if (isLost) down()
      this.#moving.delete(move.id)
      return 'dropped'
    }
    // First the table, for threads that start from here on; then those that are there.
    for (const slot of slots) this.#options.slots.assign(slot, toSeat)
    const gone = [...moving.gone]
    for (const thread of threads()) notify(thread, { kind: 'shift', move, gone })
    main.shift(move)
    // Again: when it died the new owner was not waiting for its fences yet.
    if (isLost) down()
    await moving.ended.promise
    this.#moving.delete(move.id)
    return moving.isCut ? 'cut' : 'moved'
  }

  #lives(thread: number): boolean {
    return this.#options.threads().includes(thread)
  }

  async #isExpected(moving: Moving): Promise<boolean> {
    const { notify, log } = this.#options
    const { move, expecting } = moving
    notify(move.to, { kind: 'expect', move })
    const timer = setTimeout(() => expecting.resolve(false), EXPECT_MS)
    const isExpected = await expecting.promise
    clearTimeout(timer)
    moving.isExpecting = false
    if (!isExpected) log.error('runtime.move_failed', { slots: move.slots.length, reason: 'a shard died, or hangs' })
    return isExpected
  }

  expecting(moveId: number): void {
    this.#moving.get(moveId)?.expecting.resolve(true)
  }

  ended(moveId: number, thread: number): void {
    const moving = this.#moving.get(moveId)
    if (moving === undefined || !moving.open.delete(thread)) return
    if (moving.open.size === 0) moving.ended.resolve()
  }

  /** Its ends of moves are over; what it had is lost. */
  threadDown(thread: number): void {
    for (const key of this.#joined) if (key.split(' ').includes(String(thread))) this.#joined.delete(key)
    for (const moving of this.#moving.values()) {
      const { move, open } = moving
      const isEnd = move.from === thread || move.to === thread
      if (moving.isExpecting) {
        moving.gone.add(thread)
        if (isEnd) moving.expecting.resolve(false)
      } else if (isEnd) {
        moving.isCut = true
        this.#rest = new Promise((resolve) => setTimeout(resolve, REST_MS))
        open.delete(thread)
        // The other end hears of it too, and ends by itself.
        if (open.size === 0) moving.ended.resolve()
      }
    }
  }

  /** Settles when a thread that died may start again: the other ends of its moves have let go, and no move begins. */
  async settled(thread: number): Promise<void> {
    const waiting: Promise<unknown>[] = []
    for (const { move, expecting, ended } of this.#moving.values()) {
      waiting.push(expecting.promise)
      if (move.to === thread) waiting.push(ended.promise)
    }
    if (waiting.length === 0) return
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, SETTLE_MS_MAX)
    await Promise.race([Promise.all(waiting), late])
    clearTimeout(timer)
  }
}
