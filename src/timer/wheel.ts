// The timer wheel of a thread: three levels of slots, no cascading, O(1) to schedule, cancel and re-arm. It owns no
// clock and no Node timer; both are passed in. docs/TIMERS.md has the picture and the error bounds.
//
// One clock reading serves all timers armed in one turn: schedule() puts a timer on the FRESH list, and the end of the
// turn, which the host announces, gives it its slot. So a delay counts from the end of the turn and cannot be early.
// Reading the clock in schedule() was rejected: the reading alone (52 ns) was more than all the rest (bench/timer).
//
// A node is a list sentinel (one per slot, DUE and FRESH) or a timer. Four int32 a node, so that one cache line has all:
//
//   NEXT, PREVIOUS   circular list; a timer alone, with NEXT = itself, is the one being fired; of a free one: next free
//   DEADLINE         tick, already rounded up (on FRESH: the delay in milliseconds)
//   GENERATION       counts the timers that lived in this node; part of the handle, so old handles are recognised
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import type { TimerHost } from './host.ts'
import { LEVEL_SHAPES, Level, SLOTS_TOTAL, TICKS_PER_MS } from './level.ts'

declare const timerHandle: unique symbol
/** Names one timer until it has fired or was cancelled; a safe integer, never 0. */
export type TimerHandle = number & { readonly [timerHandle]: true }

/** A handle that names no timer, for fields without one: `cancel` and `rearm` answer false. */
export const NO_TIMER = 0 as TimerHandle

/** Longest delay, 24.8 days, as in Node. A longer one is refused, because firing it sooner would be early. */
export const DELAY_MS_MAX = 2 ** 31 - 1

/** Pending timers a wheel takes by default: ten for each of 100,000 connections. 40 MiB when they are all used. */
export const TIMERS_MAX = 1_000_000

/** A timer that fires so much later than its slot's time counts as late (PROTOCOLS 1.7). */
export const LATE_MS = 250

const NEXT = 0
const PREVIOUS = 1
const DEADLINE = 2
const GENERATION = 3

const DUE = SLOTS_TOTAL
const FRESH = SLOTS_TOTAL + 1
const FIRST_TIMER = SLOTS_TOTAL + 2

const NODE_BITS = 22
const NODE_MASK = 2 ** NODE_BITS - 1
const GENERATION_UNIT = 2 ** NODE_BITS
const GENERATION_MASK = 2 ** 31 - 1

const INITIAL_TIMERS = 512
const LATE_TICKS = Math.ceil(LATE_MS * TICKS_PER_MS)

type Callback = (argument: unknown) => void

export interface TimerStats {
  /** Pending now. */
  readonly scheduled: number
  readonly fired: number
  /** Fired, but more than LATE_MS after the slot's time: the loop was overloaded. */
  readonly late: number
  readonly cancelled: number
}

export interface TimerWheelOptions {
  readonly clock: Clock
  readonly host: TimerHost
  /** Gets what a callback threw. The other timers fire all the same. */
  readonly onError: (error: unknown) => void
  /** Most pending timers; default TIMERS_MAX, at most 4,192,766. One more is refused with TIMER_TABLE_FULL. */
  readonly timersMax?: number
}

export class TimerWheel {
  readonly #clock: Clock
  readonly #host: TimerHost
  readonly #onError: (error: unknown) => void
  readonly #nodesMax: number
  readonly #originMs: number
  readonly #levels: readonly Level[] = LEVEL_SHAPES.map((shape) => new Level(shape))
  /** One bit a slot, then the bits of DUE and FRESH, which nobody reads. */
  readonly #occupied = new Int32Array((FIRST_TIMER >>> 5) + 1)
  readonly #stats = { scheduled: 0, fired: 0, late: 0, cancelled: 0 }
  #nodes = new Int32Array((FIRST_TIMER + INITIAL_TIMERS) * 4)
  /** Callback and argument of each timer, side by side. */
  #held: unknown[] = new Array(INITIAL_TIMERS * 2)
  #free = 0
  /** Nodes from here on were never used: they need no free list and, untouched, no memory. */
  #unused = FIRST_TIMER
  /** The slot time of what is on the DUE list. */
  #dueTick = 0
  #wakeTick = 0
  #advancing = false
  /** The wheel was empty, perhaps for months: the cursors may be too far behind to compare with. */
  #cursorsStale = false

  constructor(options: TimerWheelOptions) {
    const timersMax = options.timersMax ?? TIMERS_MAX
    assert(timersMax >= 1 && timersMax <= NODE_MASK + 1 - FIRST_TIMER, 'timersMax fits the handle')
    this.#clock = options.clock
    this.#host = options.host
    this.#onError = options.onError
    this.#nodesMax = FIRST_TIMER + timersMax
    this.#originMs = options.clock.nowMs()
    for (let sentinel = 0; sentinel < FIRST_TIMER; sentinel++) {
      this.#nodes[sentinel * 4 + NEXT] = sentinel
      this.#nodes[sentinel * 4 + PREVIOUS] = sentinel
      this.#nodes[sentinel * 4 + GENERATION] = -1
    }
  }

  get stats(): TimerStats {
    return this.#stats
  }

  /**
   * Calls `callback` once, at least `delayMs` after the end of this turn. The delay is rounded up to milliseconds, and
   * what is not above 0 means the next tick. Throws TIMER_DELAY_INVALID and TIMER_TABLE_FULL.
   */
  schedule(delayMs: number, callback: () => void): TimerHandle
  schedule<A>(delayMs: number, callback: (argument: A) => void, argument: A): TimerHandle
  schedule(delayMs: number, callback: Callback, argument?: unknown): TimerHandle {
    if (!(delayMs <= DELAY_MS_MAX)) throw new PolyloopError('TIMER_DELAY_INVALID', { delayMs })
    let node = this.#free
    if (node !== 0) this.#free = this.#nodes[node * 4 + NEXT] as number
    else node = this.#unusedNode()
    const held = (node - FIRST_TIMER) * 2
    this.#held[held] = callback
    this.#held[held + 1] = argument
    if (this.#stats.scheduled++ === 0) this.#cursorsStale = true
    this.#refresh(node, delayMs)
    return ((this.#nodes[node * 4 + GENERATION] as number) * GENERATION_UNIT + node) as TimerHandle
  }

  /** Answers whether the timer was pending; it will not fire. A timer that is being fired is no longer pending. */
  cancel(handle: TimerHandle): boolean {
    const node = this.#nodeOf(handle)
    if (node === 0 || this.#nodes[node * 4 + NEXT] === node) return false
    this.#unlink(node)
    this.#release(node)
    this.#stats.cancelled++
    return true
  }

  /**
   * Starts the delay anew, and the handle stays valid; false when the timer has fired or was cancelled. In its own
   * callback a timer can be re-armed: that is how to repeat.
   */
  rearm(handle: TimerHandle, delayMs: number): boolean {
    if (!(delayMs <= DELAY_MS_MAX)) throw new PolyloopError('TIMER_DELAY_INVALID', { delayMs })
    const node = this.#nodeOf(handle)
    if (node === 0) return false
    if (this.#nodes[node * 4 + NEXT] !== node) this.#unlink(node)
    this.#refresh(node, delayMs)
    return true
  }

  /** Time until the timer may fire, 0 while it is being fired; undefined when it has fired or was cancelled. */
  remainingMs(handle: TimerHandle): number | undefined {
    const node = this.#nodeOf(handle)
    if (node === 0) return undefined
    const nowMs = this.#clock.nowMs()
    this.#place(nowMs)
    const ticks = (nowMs - this.#originMs) * TICKS_PER_MS
    const whole = Math.floor(ticks)
    const ahead = ((this.#nodes[node * 4 + DEADLINE] as number) - whole) | 0
    return Math.max(0, (ahead - (ticks - whole)) / TICKS_PER_MS)
  }

  /**
   * Fires what is due at `nowMs`, a reading of the wheel's clock, and answers how many fired. At most `budget` timers
   * are touched; the host is asked to come back soon for the rest.
   */
  advance(nowMs: number, budget: number): number {
    assert(!this.#advancing, 'a timer callback does not advance its own wheel')
    this.#advancing = true
    const nowTick = this.#tickOf(nowMs)
    const firedBefore = this.#stats.fired
    let work = 0
    while (work < budget && (this.#nodes[DUE * 4 + NEXT] !== DUE || this.#collect(nowTick))) {
      const node = this.#nodes[DUE * 4 + NEXT] as number
      const deadlineTick = this.#nodes[node * 4 + DEADLINE] as number
      this.#unlink(node)
      work++
      if (((deadlineTick - nowTick) | 0) > 0) this.#link(node, deadlineTick)
      else this.#fire(node, nowTick)
    }
    this.#advancing = false
    // Time has passed in the callbacks. Reading the clock again keeps what they armed from being early.
    this.#wakeUpFrom(this.#clock.nowMs())
    return this.#stats.fired - firedBefore
  }

  /** Forgets all timers and lets go of the host. */
  close(): void {
    this.#host.disarm()
    for (let node = FIRST_TIMER; node < this.#unused; node++) {
      if (this.#held[(node - FIRST_TIMER) * 2] === undefined) continue
      if (this.#nodes[node * 4 + NEXT] !== node) this.#unlink(node)
      this.#release(node)
      this.#stats.cancelled++
    }
  }

  #tickOf(nowMs: number): number {
    return Math.floor((nowMs - this.#originMs) * TICKS_PER_MS) | 0
  }

  /** 0 when the handle is not, or no longer, the name of a timer. */
  #nodeOf(handle: TimerHandle): number {
    const node = handle & NODE_MASK
    // Out of range reads give NaN, which is no handle.
    return (this.#nodes[node * 4 + GENERATION] as number) * GENERATION_UNIT + node === handle ? node : 0
  }

  #refresh(node: number, delayMs: number): void {
    this.#nodes[node * 4 + DEADLINE] = delayMs > 0 ? Math.ceil(delayMs) : 0
    // While advancing, the end of advance() places it.
    if (this.#nodes[FRESH * 4 + NEXT] === FRESH && !this.#advancing) this.#host.soon()
    this.#append(node, FRESH)
  }

  #append(node: number, list: number): void {
    const nodes = this.#nodes
    const last = nodes[list * 4 + PREVIOUS] as number
    nodes[node * 4 + NEXT] = list
    nodes[node * 4 + PREVIOUS] = last
    nodes[last * 4 + NEXT] = node
    nodes[list * 4 + PREVIOUS] = node
  }

  #unlink(node: number): void {
    const nodes = this.#nodes
    const next = nodes[node * 4 + NEXT] as number
    const previous = nodes[node * 4 + PREVIOUS] as number
    nodes[previous * 4 + NEXT] = next
    nodes[next * 4 + PREVIOUS] = previous
    nodes[node * 4 + NEXT] = node
    // Both neighbours are the sentinel: its slot is empty now.
    if (next === previous) this.#occupied[next >>> 5] = (this.#occupied[next >>> 5] as number) & ~(1 << (next & 31))
  }

  #link(node: number, deadlineTick: number): void {
    let slot = -1
    for (let level = 0; slot < 0 && level < this.#levels.length; level++) {
      slot = (this.#levels[level] as Level).slotFor(deadlineTick)
    }
    // Beyond the last level: it comes round once more and enters again from there.
    if (slot < 0) slot = (this.#levels[this.#levels.length - 1] as Level).farthestSlot()
    this.#occupied[slot >>> 5] = (this.#occupied[slot >>> 5] as number) | (1 << (slot & 31))
    this.#append(node, slot)
  }

  /** Gives each fresh timer its slot. */
  #place(nowMs: number): void {
    const nodes = this.#nodes
    let node = nodes[FRESH * 4 + NEXT] as number
    if (node === FRESH) return
    nodes[FRESH * 4 + NEXT] = FRESH
    nodes[FRESH * 4 + PREVIOUS] = FRESH
    const nowTick = this.#tickOf(nowMs)
    for (const level of this.#levels) {
      if (this.#cursorsStale) level.reset(nowTick)
      else level.seek(nowTick, this.#occupied)
    }
    this.#cursorsStale = false
    const elapsedMs = nowMs - this.#originMs
    while (node !== FRESH) {
      const next = nodes[node * 4 + NEXT] as number
      const deadlineTick = Math.ceil((elapsedMs + (nodes[node * 4 + DEADLINE] as number)) * TICKS_PER_MS) | 0
      nodes[node * 4 + DEADLINE] = deadlineTick
      this.#link(node, deadlineTick)
      node = next
    }
  }

  /** Moves the timers of the slot that is due first to the DUE list, in O(1); false when none is due. */
  #collect(nowTick: number): boolean {
    let first: Level | undefined
    for (const level of this.#levels) {
      if (!level.seek(nowTick, this.#occupied)) continue
      const tick = (level.doneTick + level.granularityTicks) | 0
      if (first !== undefined && ((tick - this.#dueTick) | 0) >= 0) continue
      first = level
      this.#dueTick = tick
    }
    if (first === undefined) return false
    first.doneTick = this.#dueTick
    const slot = first.slotAt(this.#dueTick)
    const nodes = this.#nodes
    const head = nodes[slot * 4 + NEXT] as number
    const last = nodes[slot * 4 + PREVIOUS] as number
    nodes[DUE * 4 + NEXT] = head
    nodes[DUE * 4 + PREVIOUS] = last
    nodes[head * 4 + PREVIOUS] = DUE
    nodes[last * 4 + NEXT] = DUE
    nodes[slot * 4 + NEXT] = slot
    nodes[slot * 4 + PREVIOUS] = slot
    this.#occupied[slot >>> 5] = (this.#occupied[slot >>> 5] as number) & ~(1 << (slot & 31))
    return true
  }

  #fire(node: number, nowTick: number): void {
    const held = (node - FIRST_TIMER) * 2
    this.#stats.fired++
    if (((nowTick - this.#dueTick) | 0) > LATE_TICKS) this.#stats.late++
    try {
      ;(this.#held[held] as Callback)(this.#held[held + 1])
    } catch (error) {
      this.#onError(error)
    }
    // Not alone: the callback has re-armed the timer, or cancelled it after that; its node may be another timer's by now.
    if (this.#nodes[node * 4 + NEXT] === node) this.#release(node)
  }

  #release(node: number): void {
    const held = (node - FIRST_TIMER) * 2
    this.#held[held] = undefined
    this.#held[held + 1] = undefined
    this.#nodes[node * 4 + GENERATION] = ((this.#nodes[node * 4 + GENERATION] as number) + 1) & GENERATION_MASK
    this.#nodes[node * 4 + NEXT] = this.#free
    this.#free = node
    this.#stats.scheduled--
  }

  /** Asks the host to come for the next occupied slot. It may come for nothing after a cancel; that is cheaper. */
  #wakeUpFrom(nowMs: number): void {
    this.#place(nowMs)
    const ticks = (nowMs - this.#originMs) * TICKS_PER_MS
    const nowTick = Math.floor(ticks) | 0
    let nextTicks = Infinity
    for (const level of this.#levels) {
      const ahead = level.aheadTicks(this.#occupied)
      if (ahead !== 0) nextTicks = Math.min(nextTicks, (level.doneTick + ahead - nowTick) | 0)
    }
    if (nextTicks <= 0 || this.#nodes[DUE * 4 + NEXT] !== DUE) this.#host.soon()
    else if (nextTicks !== Infinity) {
      const wakeTick = (nowTick + nextTicks) | 0
      if (this.#host.armed && ((this.#wakeTick - wakeTick) | 0) <= 0) return
      this.#wakeTick = wakeTick
      this.#host.arm((nextTicks - (ticks - Math.floor(ticks))) / TICKS_PER_MS)
    }
  }

  #unusedNode(): number {
    const node = this.#unused
    if (node === this.#nodesMax)
      throw new PolyloopError('TIMER_TABLE_FULL', { timersMax: this.#nodesMax - FIRST_TIMER })
    if (node * 4 === this.#nodes.length) this.#grow()
    this.#unused++
    return node
  }

  /** By a quarter, not by doubling: right after growing a timer then costs 40 bytes, not 64. */
  #grow(): void {
    const before = this.#nodes.length / 4 - FIRST_TIMER
    const timers = Math.min(before + (before >>> 2), this.#nodesMax - FIRST_TIMER)
    const nodes = new Int32Array((FIRST_TIMER + timers) * 4)
    nodes.set(this.#nodes)
    const held = new Array<unknown>(timers * 2)
    for (let index = 0; index < before * 2; index++) held[index] = this.#held[index]
    this.#nodes = nodes
    this.#held = held
  }
}
