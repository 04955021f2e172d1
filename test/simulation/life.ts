// One life of one thread, as runtime/ would build it: a router, an actor system and a timer wheel, and what they do when
// main has something to say. The world around it is a few functions.
import { Barriers } from '../../src/actor/barrier.ts'
import { type GateMessage, Gates } from '../../src/actor/gate.ts'
import { createKind } from '../../src/actor/kind.ts'
import { ACTOR_RECORD } from '../../src/actor/record.ts'
import { type MoveMessage, Router, type Send, type SlotMove } from '../../src/actor/router.ts'
import { ActorSystem, type SystemLimits } from '../../src/actor/system.ts'
import type { ActorMoveMessage } from '../../src/actor/transfer.ts'
import { ABSENT_BRIDGE } from '../../src/bridge/absent-bridge.ts'
import { viewOf } from '../../src/lib/bytes.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { Logger } from '../../src/observe/logger.ts'
import { ABSENT_STORE } from '../../src/store/absent-store.ts'
import type { TimerHost } from '../../src/timer/host.ts'
import { TimerWheel } from '../../src/timer/wheel.ts'
import { type Cast, createCast, type Stage } from './cast.ts'
import type { Ledger } from './ledger.ts'
import type { Random } from './random.ts'

export interface Limits extends SystemLimits {
  readonly heldBytesMax: number
}

/** A record in a ring. */
export interface Carried {
  readonly kind: number
  readonly bytes: Buffer
}

export type PortMessage = MoveMessage | ActorMoveMessage | GateMessage

/** What main says to a thread. */
export type Notice =
  | { readonly kind: 'expect'; readonly move: SlotMove }
  | { readonly kind: 'shift'; readonly move: SlotMove }
  | { readonly kind: 'down'; readonly thread: number }

/** What a thread says to main. */
export type Report =
  | { readonly kind: 'expecting' | 'ended' | 'shifted'; readonly move: number }
  | { readonly kind: 'exit' }

export interface Surroundings {
  readonly clock: Clock
  readonly random: Random
  readonly ledger: Ledger
  readonly cast: Cast
  readonly limits: Limits
  readonly owners: Uint16Array
  carry(from: number, to: number, lane: 'data' | 'control', ...message: Parameters<Send>): boolean
  soon(life: Life, run: () => void): void
  retry(life: Life, attempt: () => boolean): void
  pause(life: number, ms: number): Promise<void>
  /** The way to another thread, as long as both live. */
  port(from: Life, to: number): (move: number, message: PortMessage) => void
  report(life: Life, report: Report): void
}

const IDLE_AFTER_MS = 60_000

class StepHost implements TimerHost {
  armed = false
  wanted = false

  arm(): void {
    this.armed = true
  }

  soon(): void {
    this.wanted = true
  }

  disarm(): void {
    this.armed = false
    this.wanted = false
  }
}

export class Life implements Stage {
  readonly life: number
  readonly thread: number
  readonly router: Router
  readonly system: ActorSystem
  readonly wheel: TimerWheel
  readonly random: Random
  readonly ledger: Ledger
  readonly cast: Cast
  /** Moves to and from here that are not over. */
  readonly incoming = new Map<number, SlotMove>()
  readonly outgoing = new Map<number, SlotMove>()
  /** When its timers ran last. */
  turnedMs = 0
  readonly #around: Surroundings
  readonly #host = new StepHost()
  readonly barriers: Barriers
  readonly gates: Gates
  readonly #sentTo = new Set<number>()

  constructor(around: Surroundings, thread: number, life: number, generation: number) {
    const { clock, limits, ledger } = around
    this.#around = around
    this.life = life
    this.thread = thread
    this.random = around.random
    this.ledger = ledger
    this.cast = around.cast
    this.wheel = new TimerWheel({
      clock,
      host: this.#host,
      onError: (error) => ledger.problem(`a timer threw ${error instanceof Error ? error.stack : String(error)}`),
    })
    const cell = { value: 0 }
    const cells = { ok: cell, failed: cell, refused: cell, dead: cell }
    const kinds = createCast(this).map((definition) => createKind(definition as never, IDLE_AFTER_MS, cells))
    const soon = (run: () => void): void => around.soon(this, run)
    this.barriers = new Barriers({
      sentTo: () => [...this.#sentTo, ...this.router.newOwners],
      toThread: (to, ...message) => around.carry(thread, to, 'data', ...message),
      toAsker: (to, ...message) => around.carry(thread, to, 'control', ...message),
      retry: (attempt) => around.retry(this, attempt),
      holds: (source) => this.router.holds(source),
    })
    this.gates = new Gates({ barrier: (done) => this.barriers.begin(done), soon })
    this.router = new Router({
      self: thread,
      owners: (slot) => around.owners[slot] as number,
      toThread: (to, ...message) => {
        this.#sentTo.add(to)
        return around.carry(thread, to, 'data', ...message)
      },
      released: () => this.barriers.released(),
      deliver: (kind, source, record, now) => this.system.deliver(kind, source, record, now),
      stays: (kind, source, record) => this.system.stays(kind, source, record),
      reject: (kind, source, record, reason) => this.system.reject(kind, source, record, reason),
      retry: (attempt) => around.retry(this, attempt),
      ended: (move) => {
        this.incoming.delete(move.id)
        this.outgoing.delete(move.id)
        around.report(this, { kind: 'ended', move: move.id })
      },
      heldBytesMax: limits.heldBytesMax,
    })
    const log = createLog(ledger)
    this.system = new ActorSystem({
      self: thread,
      generation,
      clock,
      wheel: this.wheel,
      router: this.router,
      kinds: new Map(kinds.map((kind) => [kind.name, kind])),
      limits,
      log,
      services: {
        clock,
        log,
        send: () => false,
        close: () => false,
        publish: () => false,
        offload: () => Promise.reject(new Error('no pool here')),
        store: ABSENT_STORE,
        bridge: ABSENT_BRIDGE,
      },
      toAsker: (to, ...message) => around.carry(thread, to, 'control', ...message),
      deadLetter: () => {},
      gates: this.gates,
      soon,
      later: soon,
    })
  }

  nowMs(): number {
    return this.#around.clock.nowMs()
  }

  pause(ms: number): Promise<void> {
    return this.#around.pause(this.life, ms)
  }

  /** A record from a ring. */
  receive(source: number, { kind, bytes }: Carried): void {
    if (kind === ACTOR_RECORD.fence) this.router.fence(bytes.readUInt32LE(0), source)
    else if (kind === ACTOR_RECORD.barrier) this.barriers.asked(bytes.readUInt32LE(0), source)
    else if (kind === ACTOR_RECORD.passed) this.barriers.passed(bytes.readUInt32LE(0), source)
    else if (kind === ACTOR_RECORD.reply) this.system.answered(bytes, viewOf(bytes), 0, bytes.length)
    else if (!this.system.receive(kind, source, bytes, viewOf(bytes), 0, bytes.length))
      this.router.receive(kind, source, bytes)
  }

  /** A message of a move, from its port. */
  arrived(from: number, move: number, message: PortMessage): void {
    if (message.kind === 'flushed') {
      this.gates.opened(from, message.gate)
      return
    }
    if (message.kind === 'record' || message.kind === 'fence') {
      this.router.arrived(move, message)
      return
    }
    if (message.kind === 'actor') this.ledger.arrived(`${message.frozen.kind}/${message.frozen.id}`, this.life)
    this.system.migration.arrived(from, message)
  }

  notice(notice: Notice): void {
    if (notice.kind === 'expect') this.#expect(notice.move)
    else if (notice.kind === 'shift') this.#shift(notice.move)
    else this.#threadDown(notice.thread)
  }

  #expect(move: SlotMove): void {
    this.incoming.set(move.id, move)
    this.router.expect(move)
    this.#around.report(this, { kind: 'expecting', move: move.id })
  }

  #shift(move: SlotMove): void {
    if (move.from === this.thread) {
      this.outgoing.set(move.id, move)
      const port = this.#around.port(this, move.to)
      const post = (message: PortMessage): void => {
        if (message.kind === 'actor') this.ledger.left(`${message.frozen.kind}/${message.frozen.id}`)
        else if (message.kind === 'lost') this.ledger.ended(message.key)
        port(move.id, message)
      }
      this.router.shift(move, post)
      this.system.migration.leave(move, post)
    } else this.router.shift(move)
    this.#around.report(this, { kind: 'shifted', move: move.id })
  }

  #threadDown(thread: number): void {
    const abandoned = [...this.incoming.values()].filter(({ from }) => from === thread)
    const failed = [...this.outgoing.values()].filter(({ to }) => to === thread)
    this.#sentTo.delete(thread)
    // First what waits for actors, then what the router holds: it was sent later.
    for (const move of abandoned) this.system.migration.abandoned(move)
    this.router.threadDown(thread)
    this.barriers.threadDown(thread)
    this.gates.threadDown(thread)
    for (const move of failed) this.system.migration.leaveFailed(move.id)
  }

  /** Runs the timers that are due. */
  turn(): void {
    do {
      this.#host.wanted = false
      this.wheel.advance(this.nowMs(), Number.MAX_SAFE_INTEGER)
    } while (this.#host.wanted)
    this.turnedMs = this.nowMs()
  }

  /** The end of a turn of the event loop: fresh timers get their place. False: there are none. */
  endTurn(): boolean {
    const { wanted } = this.#host
    if (wanted) this.turn()
    return wanted
  }

  /** Timers that actors have; every other one is of an ask or of a move. */
  get actorTimers(): number {
    let timers = 0
    for (const { timers: named, idleTimer, pauseTimer } of this.system.activations()) {
      timers += (named?.size ?? 0) + (idleTimer === undefined ? 0 : 1) + (pauseTimer === undefined ? 0 : 1)
    }
    return timers
  }
}

/** Dead letters and failed starts go to the ledger, each of them: the log's own limit is by time, and time is ours. */
function createLog(ledger: Ledger): Logger {
  const rows = {
    debug: () => {},
    info: () => {},
    fatal: () => {},
    warn: (fields: Readonly<Record<string, unknown>>, event: string) => {
      if (event === 'actor.dead_letter') ledger.deadLetter(String(fields.actor), String(fields.reason))
    },
    error: (fields: Readonly<Record<string, unknown>>, event: string) => {
      if (event === 'actor.failed' && fields.method === 'create') ledger.startFailed(String(fields.actor))
    },
  }
  let nowMs = 0
  const rushing = { nowMs: () => (nowMs += 1_000), wallMs: () => 0 }
  return new Logger(rows as unknown as ConstructorParameters<typeof Logger>[0], rushing)
}
