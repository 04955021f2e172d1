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

interface Moving {
  readonly move: SlotMove
  readonly expecting: PromiseWithResolvers<boolean>
  /** Ends that have not said that they are done. */
  readonly open: Set<number>
  readonly ended: PromiseWithResolvers<void>
  failed: boolean
}

export class SlotMover {
  readonly #options: SlotMoverOptions
  readonly #moving = new Map<number, Moving>()
  /** Pairs of threads that have a port, as `low high`. */
  readonly #joined = new Set<string>()
  #count = 0

  constructor(options: SlotMoverOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#moving.size
  }

  /** Gives two shards a port for what moves between them, unless they have one. */
  join(one: number, other: number): void {
    const key = one < other ? `${one} ${other}` : `${other} ${one}`
    if (one === other || this.#joined.has(key)) return
    this.#joined.add(key)
    const { port1, port2 } = new MessageChannel()
    this.#options.notify(one, { kind: 'peer', thread: other, port: port1 }, [port1])
    this.#options.notify(other, { kind: 'peer', thread: one, port: port2 }, [port2])
  }

  /**
   * Moves slots from one seat to another. True when both have done with it: actors and topics are there, connections
   * follow. False when a thread died on the way; the slots are the new owner's all the same.
   */
  async move(slots: Uint16Array, fromSeat: number, toSeat: number): Promise<boolean> {
    const { threads, notify, main, log } = this.#options
    const [from, to] = [threadOfSeat(fromSeat), threadOfSeat(toSeat)]
    assert(from !== to, 'a move has two ends')
    this.join(from, to)
    const sources = [main.thread, ...threads()]
    const move: SlotMove = { id: ++this.#count, from, to, slots, sources }
    const moving: Moving = {
      move,
      expecting: Promise.withResolvers(),
      open: new Set([from, to]),
      ended: Promise.withResolvers(),
      failed: false,
    }
    this.#moving.set(move.id, moving)
    notify(to, { kind: 'expect', move })
    const timer = setTimeout(() => moving.expecting.resolve(false), EXPECT_MS)
    const isExpected = await moving.expecting.promise
    clearTimeout(timer)
    if (!isExpected) {
      this.#moving.delete(move.id)
      log.error('runtime.move_failed', { slots: slots.length, reason: 'the new shard does not answer' })
      return false
    }
    // First the table, for threads that start from here on; then those that are there.
    for (const slot of slots) this.#options.slots.assign(slot, toSeat)
    for (const thread of threads()) notify(thread, { kind: 'shift', move })
    main.shift(move)
    await moving.ended.promise
    this.#moving.delete(move.id)
    return !moving.failed
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
      if (move.from !== thread && move.to !== thread) continue
      moving.failed = true
      moving.expecting.resolve(move.from === thread)
      open.delete(thread)
      // The other end hears of it too, and ends by itself; an end that died before the shift was never one.
      if (open.size === 0) moving.ended.resolve()
    }
  }
}
