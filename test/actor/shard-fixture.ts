// Several shards on one thread, with a manual clock: each has a router and an actor system, and a queue stands for each
// ring. Nothing moves until a step is taken, so that a test, or the simulation, decides every interleaving.
import assert from 'node:assert/strict'
import { type ActorRef, refTo } from '../../src/actor/actor-ref.ts'
import { Barriers } from '../../src/actor/barrier.ts'
import type { ActorDefinition, Handlers } from '../../src/actor/definition.ts'
import { type GateMessage, Gates } from '../../src/actor/gate.ts'
import { type ActorKind, createKind } from '../../src/actor/kind.ts'
import { ACTOR_RECORD } from '../../src/actor/record.ts'
import { type MoveMessage, Router, type SlotMove } from '../../src/actor/router.ts'
import { ActorSystem, type SystemLimits } from '../../src/actor/system.ts'
import type { ActorMoveMessage } from '../../src/actor/transfer.ts'
import { ABSENT_BRIDGE } from '../../src/bridge/absent-bridge.ts'
import { viewOf } from '../../src/lib/bytes.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { SLOTS } from '../../src/placement/slots.ts'
import { ABSENT_STORE } from '../../src/store/absent-store.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { recordOf } from '../harness/record.ts'

export const LIMITS: SystemLimits = {
  mailboxMax: 8,
  askTimeoutMs: 1_000,
  asksMax: 1_000,
  serialiseLocal: true,
  messageBytesMax: 64 * 1024,
  handlerGraceMs: 500,
  failuresMax: 3,
  windowMs: 1_000,
  coolDownMs: 2_000,
  backoffMinMs: 10,
  backoffMaxMs: 100,
}

interface Carried {
  readonly kind: number
  readonly bytes: Buffer
}

export type PortMessage = MoveMessage | ActorMoveMessage | GateMessage

interface Port {
  readonly move: SlotMove
  readonly queue: PortMessage[]
}

/** One life of one thread. */
export class FixtureShard {
  readonly thread: number
  readonly router: Router
  readonly system: ActorSystem
  readonly kinds: ReadonlyMap<string, ActorKind>
  readonly dead: Record<string, number> = {}
  /** Work that asked to run soon, or later. */
  readonly work: (() => void)[] = []
  /** What the router says is over. */
  readonly ended: SlotMove[] = []
  readonly attempts: (() => boolean)[] = []
  readonly barriers: Barriers
  readonly gates: Gates
  readonly #sentTo = new Set<number>()

  constructor(shards: FixtureShards, thread: number, generation: number) {
    this.thread = thread
    const cell = { value: 0 }
    const kinds = new Map<string, ActorKind>()
    for (const definition of shards.definitions) {
      kinds.set(definition.kind, createKind(definition, 60_000, { ok: cell, failed: cell, refused: cell, dead: cell }))
    }
    this.kinds = kinds
    const soon = (run: () => void): void => void this.work.push(run)
    this.barriers = new Barriers({
      sentTo: () => [...this.#sentTo, ...this.router.newOwners],
      toThread: (to, ...message) => shards.carry(thread, to, 'data', ...message),
      toAsker: (to, ...message) => shards.carry(thread, to, 'control', ...message),
      retry: (attempt) => this.attempts.push(attempt),
      holds: (source) => this.router.holds(source),
    })
    this.gates = new Gates({ barrier: (done) => this.barriers.begin(done), soon })
    this.router = new Router({
      self: thread,
      owners: (slot) => shards.owners[slot] as number,
      toThread: (to, ...message) => {
        this.#sentTo.add(to)
        return shards.carry(thread, to, 'data', ...message)
      },
      released: () => this.barriers.released(),
      deliver: (kind, source, record, now) => this.system.deliver(kind, source, record, now),
      stays: (kind, source, record) => this.system.stays(kind, source, record),
      reject: (kind, source, record, reason) => this.system.reject(kind, source, record, reason),
      retry: (attempt) => this.attempts.push(attempt),
      ended: (move) => this.ended.push(move),
      heldBytesMax: 64 * 1024,
    })
    this.system = new ActorSystem({
      self: thread,
      generation,
      clock: shards.timers.clock,
      wheel: shards.timers.wheel,
      router: this.router,
      kinds,
      limits: { ...LIMITS, ...shards.limits },
      log: createLogger({ level: 'silent', write: () => {}, base: { thread: `fixture-${thread}` } }),
      services: {
        clock: shards.timers.clock,
        log: createLogger({ level: 'silent', write: () => {}, base: { thread: `fixture-${thread}` } }),
        send: ({ id }, payload) => shards.sent.push(`${id} ${payload}`) > 0,
        close: ({ id }, code, reason) => shards.closed.push(`${id} ${code} ${reason}`) > 0,
        publish: () => false,
        offload: () => Promise.reject(new Error('no pool here')),
        store: ABSENT_STORE,
        bridge: ABSENT_BRIDGE,
      },
      toAsker: (to, ...message) => shards.carry(thread, to, 'control', ...message),
      deadLetter: (reason) => {
        this.dead[reason] = (this.dead[reason] ?? 0) + 1
      },
      gates: this.gates,
      soon,
      later: soon,
    })
  }

  receive(source: number, { kind, bytes }: Carried): void {
    if (kind === ACTOR_RECORD.fence) this.router.fence(bytes.readUInt32LE(0), source)
    else if (kind === ACTOR_RECORD.barrier) this.barriers.asked(bytes.readUInt32LE(0), source)
    else if (kind === ACTOR_RECORD.passed) this.barriers.passed(bytes.readUInt32LE(0), source)
    else if (kind === ACTOR_RECORD.reply) this.system.answered(bytes, viewOf(bytes), 0, bytes.length)
    else if (!this.system.receive(kind, source, bytes, viewOf(bytes), 0, bytes.length))
      this.router.receive(kind, source, bytes)
  }

  threadDown(thread: number): void {
    this.#sentTo.delete(thread)
    this.router.threadDown(thread)
    this.barriers.threadDown(thread)
    this.gates.threadDown(thread)
  }
}

export class FixtureShards {
  readonly timers = new ManualTimers()
  /** What actors sent to connections, as `id payload`, and how they closed them. */
  readonly sent: string[] = []
  readonly closed: string[] = []
  readonly owners = new Uint16Array(SLOTS)
  readonly definitions: readonly ActorDefinition[]
  readonly limits: Partial<SystemLimits>
  readonly #shards = new Map<number, FixtureShard>()
  readonly #generations = new Map<number, number>()
  readonly #queues = new Map<string, Carried[]>()
  readonly #ports: Port[] = []
  /** Records a queue takes; a full one refuses. */
  queueMax = Number.POSITIVE_INFINITY
  #moves = 0

  constructor(definitions: readonly object[], threads: readonly number[], limits: Partial<SystemLimits> = {}) {
    this.definitions = definitions as unknown as readonly ActorDefinition[]
    this.limits = limits
    for (const slot of this.owners.keys()) this.owners[slot] = threads[slot % threads.length] as number
    for (const thread of threads) this.start(thread)
  }

  start(thread: number): FixtureShard {
    const generation = (this.#generations.get(thread) ?? 0) + 1
    this.#generations.set(thread, generation)
    const shard = new FixtureShard(this, thread, generation)
    this.#shards.set(thread, shard)
    return shard
  }

  /** Ends a thread as a crash does: its memory is gone, what others sent to it stays for its successor. */
  kill(thread: number): void {
    this.#shards.delete(thread)
    for (const [index, port] of [...this.#ports.entries()].reverse()) {
      if (port.move.from === thread || port.move.to === thread) this.#ports.splice(index, 1)
    }
    for (const shard of this.#shards.values()) {
      const before = shard.ended.length
      const expected = this.#moving.filter((move) => move.from === thread && move.to === shard.thread)
      for (const move of expected) shard.system.migration.abandoned(move)
      shard.threadDown(thread)
      for (const move of this.#moving)
        if (move.to === thread && move.from === shard.thread) shard.system.migration.leaveFailed(move.id)
      assert.ok(shard.ended.length >= before)
    }
    for (const [index, move] of [...this.#moving.entries()].reverse()) {
      if (move.from === thread || move.to === thread) this.#moving.splice(index, 1)
    }
  }

  get threads(): number[] {
    return [...this.#shards.keys()]
  }

  shard(thread: number): FixtureShard {
    const shard = this.#shards.get(thread)
    assert.ok(shard, `thread ${thread} lives`)
    return shard
  }

  alive(thread: number): boolean {
    return this.#shards.has(thread)
  }

  ref<State, H extends Handlers<State>>(
    thread: number,
    definition: ActorDefinition<State, H>,
    id: string,
  ): ActorRef<H> {
    return refTo(this.shard(thread).system, definition, id)
  }

  carry(
    from: number,
    to: number,
    lane: string,
    kind: number,
    head: Uint8Array,
    headBytes: number,
    body: Uint8Array = new Uint8Array(0),
    bodyStart = 0,
    bodyBytes = body.byteLength,
  ): boolean {
    const key = `${from} ${to} ${lane}`
    const queue = this.#queues.get(key) ?? []
    this.#queues.set(key, queue)
    if (queue.length >= this.queueMax && lane === 'data') return false
    queue.push({
      kind,
      bytes: recordOf(head, headBytes, body, bodyStart, bodyBytes),
    })
    return true
  }

  readonly #moving: SlotMove[] = []

  /** Slots that are on their way. */
  get moving(): readonly SlotMove[] {
    return this.#moving
  }

  /** A move as main makes it. Notices reach the threads at once; `notices` delays them, one thread after another. */
  move(
    slots: readonly number[],
    from: number,
    to: number,
    delayed: (thread: number, notice: () => void) => void = (_, notice) => notice(),
  ): SlotMove {
    const move: SlotMove = { id: ++this.#moves, from, to, slots: Uint16Array.from(slots), sources: this.threads }
    this.#moving.push(move)
    const port: Port = { move, queue: [] }
    this.#ports.push(port)
    this.shard(to).router.expect(move)
    for (const slot of slots) this.owners[slot] = to
    for (const thread of this.threads) {
      delayed(thread, () => {
        const shard = this.#shards.get(thread)
        if (shard === undefined) return
        if (thread !== from) {
          shard.router.shift(move)
          return
        }
        const post = (message: PortMessage): void => void port.queue.push(structuredClone(message))
        shard.router.shift(move, post)
        shard.system.migration.leave(move, post)
      })
    }
    return move
  }

  /** Everything that could happen next, each as a function. */
  steps(): (() => void)[] {
    const steps: (() => void)[] = []
    for (const [key, queue] of this.#queues) {
      const [from = 0, to = 0] = key.split(' ').map(Number)
      const shard = this.#shards.get(to)
      if (queue.length > 0 && shard !== undefined) steps.push(() => shard.receive(from, queue.shift() as Carried))
    }
    for (const [index, port] of this.#ports.entries()) {
      const shard = this.#shards.get(port.move.to)
      if (port.queue.length === 0 || shard === undefined) continue
      steps.push(() => {
        const message = (this.#ports[index] as Port).queue.shift() as PortMessage
        if (message.kind === 'record' || message.kind === 'fence') shard.router.arrived(port.move.id, message)
        else if (message.kind === 'flushed') shard.gates.opened(port.move.from, message.gate)
        else shard.system.migration.arrived(port.move.from, message)
      })
    }
    for (const shard of this.#shards.values()) {
      if (shard.work.length > 0) steps.push(() => (shard.work.shift() as () => void)())
      if (shard.attempts.length > 0) {
        steps.push(() => {
          const attempt = shard.attempts.shift() as () => boolean
          if (!attempt()) shard.attempts.push(attempt)
        })
      }
    }
    return steps
  }

  /** Settles moves that both sides have ended. */
  settleMoves(): void {
    for (const [index, move] of [...this.#moving.entries()].reverse()) {
      const from = this.#shards.get(move.from)
      const to = this.#shards.get(move.to)
      const isOver = (shard: FixtureShard | undefined): boolean =>
        shard === undefined || shard.ended.some(({ id }) => id === move.id)
      if (isOver(from) && isOver(to)) this.#moving.splice(index, 1)
    }
  }

  /** Takes steps, in order, until nothing is left to do. Promises settle in between. */
  async run(): Promise<void> {
    for (;;) {
      await Promise.resolve()
      await Promise.resolve()
      const steps = this.steps()
      if (steps.length === 0) {
        await new Promise((resolve) => setImmediate(resolve))
        if (this.steps().length === 0) break
        continue
      }
      for (const step of steps) step()
    }
    this.settleMoves()
  }

  /** Lets time pass, then runs. */
  async pass(ms: number): Promise<void> {
    this.timers.run(ms)
    await this.run()
  }

  /** Records that wait in queues. */
  get waiting(): number {
    let count = 0
    for (const queue of this.#queues.values()) count += queue.length
    for (const port of this.#ports) count += port.queue.length
    return count
  }
}
