// The process around the lives of threads: rings, ports, main's part in moves, crashes and successors. It decides
// nothing: whatever happens is asked of it.
//
// What main keeps to, and the runtime relies on:
//   a slot is in one move at a time, and in the next one when all threads have shifted for the one before
//   `expect` is answered before the owners change; they change before anybody is told to shift
//   the sources of a move are all threads that live or are starting; none starts while `expect` waits for its answer
//   a death is told to all threads before the successor starts; a source that died while `expect` waited, once more
//   the successor of a new owner starts when the old owners of the moves to it have given up what had not left
//   the slots of a move that a death has cut do not move on until the old owner, or its successor, has read what was in
//   its rings when all had shifted
//   who is told of a death reads first what the dead thread had left for him in rings; its port is closed

import type { Send, SlotMove } from '../../src/actor/router.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { SLOTS } from '../../src/placement/slots.ts'
import { Cast } from './cast.ts'
import { type Channel, Switchboard, step } from './channel.ts'
import { Ledger } from './ledger.ts'
import {
  type Carried,
  Life,
  type Limits,
  type Notice,
  type PortMessage,
  type Report,
  type Surroundings,
} from './life.ts'
import type { Random } from './random.ts'

export const MAIN = 0

interface Pause {
  readonly life: number
  readonly dueMs: number
  readonly done: () => void
}

interface MainMove {
  readonly move: SlotMove
  phase: 'expecting' | 'shifting'
  /** Ends that have a part in it. */
  readonly ends: Set<number>
  /** Lives that have not shifted. */
  readonly behind: Set<number>
  /** An end of it died before its part was over. */
  wasCut: boolean
}

interface Posted {
  readonly from: number
  readonly move: number
  readonly message: PortMessage
}

export class World implements Surroundings {
  readonly clock = new ManualClock(1_000)
  readonly ledger: Ledger
  readonly random: Random
  readonly cast: Cast
  readonly limits: Limits
  readonly owners = new Uint16Array(SLOTS)
  readonly threads: readonly number[]
  readonly board = new Switchboard()
  readonly lives = new Map<number, Life>()
  /** Threads that main is starting: what is told to them waits. */
  readonly starting = new Set<number>()
  /** Dead, and main knows. */
  readonly fallen = new Set<number>()
  readonly moves = new Map<number, MainMove>()
  /** Slots of a move that was cut, with what may still come to the old owner for them: so many items of each ring. */
  readonly #haunted = new Map<number, ReadonlyMap<Channel<Carried>, number>>()
  readonly pauses: Pause[] = []
  /** Records a ring takes. */
  queueMax = 0
  #lives = 0
  #moves = 0
  readonly #generations = new Map<number, number>()

  constructor(random: Random, threads: readonly number[], limits: Limits, eventsKept: number) {
    this.random = random
    this.ledger = new Ledger(() => this.clock.nowMs(), eventsKept)
    this.threads = threads
    this.limits = limits
    this.cast = new Cast(random)
    for (const slot of this.owners.keys()) this.owners[slot] = threads[slot % threads.length] as number
    for (const slot of this.cast.slots) this.owners[slot] = random.pick(threads)
    for (const thread of [MAIN, ...threads]) this.arise(thread)
  }

  // ---- what a life uses --------------------------------------------------------------------------------------------

  carry(
    from: number,
    to: number,
    lane: 'data' | 'control',
    ...[kind, head, headBytes, body = new Uint8Array(0), bodyStart = 0, bodyBytes = body.byteLength]: Parameters<Send>
  ): boolean {
    const ring = this.#ring(from, to, lane)
    if (lane === 'data' && ring.items.length >= this.queueMax) return false
    const bytes = Buffer.allocUnsafe(headBytes + bodyBytes)
    bytes.set(head.subarray(0, headBytes))
    bytes.set(body.subarray(bodyStart, bodyStart + bodyBytes), headBytes)
    this.board.push(ring, { kind, bytes })
    return true
  }

  soon(life: Life, run: () => void): void {
    this.board.push(
      this.board.channel(`work ${life.life}`, life.thread, (item: () => void) => item()),
      run,
    )
  }

  retry(life: Life, attempt: () => boolean): void {
    const channel = this.board.channel(`retry ${life.life}`, life.thread, (item: () => boolean) => {
      if (!item()) this.board.push(channel, item)
    })
    this.board.push(channel, attempt)
  }

  pause(life: number, ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.pauses.push({ life, dueMs: this.clock.nowMs() + ms, done: resolve })
    return promise
  }

  port({ life: from, thread }: Life, to: number): (move: number, message: PortMessage) => void {
    const reader = this.lives.get(to)
    const channel = this.#port(thread, to)
    return (move, message) => {
      // Into the void, as with a worker that is gone.
      if (reader !== undefined && this.lives.get(to) === reader) this.board.push(channel, { from, move, message })
      else this.#lose(message)
    }
  }

  report({ thread }: Life, report: Report): void {
    this.#tellMain(thread, report)
  }

  // ---- channels ----------------------------------------------------------------------------------------------------

  #ring(from: number, to: number, lane: string): Channel<Carried> {
    return this.board.channel(`ring ${from} ${to} ${lane}`, to, (item: Carried) =>
      this.lives.get(to)?.receive(from, item),
    )
  }

  #port(from: number, to: number): Channel<Posted> {
    return this.board.channel(`port ${from} ${to}`, to, ({ move, message }: Posted) =>
      this.lives.get(to)?.arrived(from, move, message),
    )
  }

  #tellMain(thread: number, report: Report): void {
    const channel = this.board.channel(`report ${thread}`, MAIN, (item: Report) => this.#reported(thread, item))
    this.board.push(channel, report)
  }

  #notify(thread: number, notice: Notice): void {
    if (!this.lives.has(thread) && !this.starting.has(thread)) return
    const channel = this.board.channel(`notice ${thread}`, thread, (item: Notice) => this.#noticed(thread, item))
    this.board.push(channel, notice)
  }

  #noticed(thread: number, notice: Notice): void {
    this.ledger.note(`${thread} hears ${notice.kind} ${notice.kind === 'down' ? notice.thread : notice.move.id}`)
    if (notice.kind === 'down') {
      // A thread's death is heard behind all it had written.
      for (const lane of ['data', 'control']) while (step(this.#ring(notice.thread, thread, lane)));
      const port = this.#port(notice.thread, thread)
      if (this.random.chance(0.5)) while (this.random.chance(0.8) && step(port));
      this.#closePort(port)
    }
    this.lives.get(thread)?.notice(notice)
  }

  #closePort(port: Channel<Posted>): void {
    for (const { message } of port.items) this.#lose(message)
    port.items.length = 0
  }

  #lose(message: PortMessage): void {
    if (message.kind === 'actor') this.ledger.ended(`${message.frozen.kind}/${message.frozen.id}`)
  }

  // ---- main's part -------------------------------------------------------------------------------------------------

  /** Slots of `from` that could move now. */
  movable(from: number): number[] {
    const moving = new Set([...this.moves.values()].flatMap(({ move }) => [...move.slots]))
    const isFree = (slot: number): boolean => !moving.has(slot) && !this.#isHaunted(slot)
    return this.cast.slots.filter((slot) => this.owners[slot] === from && isFree(slot))
  }

  beginMove(slots: readonly number[], from: number, to: number): void {
    const sources = this.#known()
    const move: SlotMove = { id: ++this.#moves, from, to, slots: Uint16Array.from(slots), sources }
    this.moves.set(move.id, { move, phase: 'expecting', ends: new Set([from, to]), behind: new Set(), wasCut: false })
    this.ledger.figures.moves++
    this.ledger.note(`move ${move.id} of ${slots.join(' ')} from ${from} to ${to}, sources ${sources.join(' ')}`)
    this.#notify(to, { kind: 'expect', move })
  }

  #reported(thread: number, report: Report): void {
    if (report.kind === 'exit') {
      this.#exited(thread)
      return
    }
    const known = this.moves.get(report.move)
    if (known === undefined) return
    const { ends, behind } = known
    if (report.kind === 'shifted') behind.delete(thread)
    else if (report.kind === 'ended') ends.delete(thread)
    else this.#expected(known)
    this.#endIfOver(known)
  }

  #endIfOver({ move, ends, behind, wasCut }: MainMove): void {
    if (ends.size > 0 || behind.size > 0) return
    this.moves.delete(move.id)
    if (!wasCut) return
    // Everybody has shifted: behind what is in these rings nothing comes for the slots.
    const rings = [MAIN, ...this.threads].map((from) => this.#ring(from, move.from, 'data'))
    const untils = new Map(rings.map((ring) => [ring, ring.taken + ring.items.length]))
    for (const slot of move.slots) this.#haunted.set(slot, untils)
  }

  #isHaunted(slot: number): boolean {
    for (const [ring, until] of this.#haunted.get(slot) ?? []) if (ring.taken < until) return true
    this.#haunted.delete(slot)
    return false
  }

  #expected(known: MainMove): void {
    const { move, behind } = known
    this.ledger.note(`move ${move.id} is expected`)
    known.phase = 'shifting'
    for (const slot of move.slots) this.owners[slot] = move.to
    for (const thread of this.#known()) {
      behind.add(thread)
      this.#notify(thread, { kind: 'shift', move })
    }
    for (const thread of move.sources) if (this.fallen.has(thread)) this.#notify(move.from, { kind: 'down', thread })
  }

  #exited(thread: number): void {
    this.ledger.note(`main sees that ${thread} is gone`)
    this.fallen.add(thread)
    for (const known of [...this.moves.values()]) {
      const { move, ends, behind, phase } = known
      behind.delete(thread)
      if (ends.delete(thread)) known.wasCut = true
      if (phase === 'shifting') this.#endIfOver(known)
      else if (move.from === thread || move.to === thread) this.moves.delete(move.id)
    }
    for (const other of this.#known()) this.#notify(other, { kind: 'down', thread })
  }

  /** Alive as far as main knows, or starting. */
  #known(): number[] {
    return [MAIN, ...this.threads].filter((thread) => !this.fallen.has(thread))
  }

  /** Main starts the successor of a thread that has fallen; it arises a little later. False: not now. */
  startSuccessor(thread: number): boolean {
    for (const { move, phase, ends } of this.moves.values()) {
      if (phase === 'expecting' || (move.to === thread && ends.has(move.from))) return false
    }
    this.fallen.delete(thread)
    this.starting.add(thread)
    this.ledger.note(`${thread} is starting`)
    return true
  }

  arise(thread: number): void {
    this.starting.delete(thread)
    const generation = (this.#generations.get(thread) ?? 0) + 1
    this.#generations.set(thread, generation)
    const life = new Life(this, thread, ++this.#lives, generation)
    this.lives.set(thread, life)
    this.ledger.note(`${thread} is up, life ${life.life}`)
  }

  // ---- faults ------------------------------------------------------------------------------------------------------

  /** A crash: its memory is gone, what others wrote for it stays, what it wrote stays unless it had no room. */
  kill(thread: number): void {
    const life = this.lives.get(thread)
    if (life === undefined) return
    this.ledger.note(`${thread} is killed, life ${life.life}`)
    this.ledger.killed(life.life)
    this.lives.delete(thread)
    for (const name of [`work ${life.life}`, `retry ${life.life}`, `notice ${thread}`]) this.board.remove(name)
    for (const other of [MAIN, ...this.threads]) {
      if (other === thread) continue
      this.#closePort(this.#port(other, thread))
      for (const lane of ['data', 'control']) {
        const ring = this.#ring(thread, other, lane)
        const { items } = ring
        if (this.random.chance(0.4)) ring.taken += items.splice(this.random.between(0, items.length)).length
      }
    }
    for (let index = this.pauses.length - 1; index >= 0; index--) {
      if (this.pauses[index]?.life === life.life) this.pauses.splice(index, 1)
    }
    this.#tellMain(thread, { kind: 'exit' })
  }

  /** Whether a step of this channel can be taken. */
  canTake({ to }: Channel): boolean {
    return this.lives.has(to)
  }

  /** Ends of turns: what was scheduled in this step gets its place on the wheel. False: nothing was. */
  endTurn(): boolean {
    let did = false
    for (const life of this.lives.values()) if (life.endTurn()) did = true
    return did
  }
}
