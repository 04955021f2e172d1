// Several threads with homes and relays in one: links that fill up, slots and connections that move, and threads that
// die. Time is manual; the routers are real.
import assert from 'node:assert/strict'
import { ACTOR_RECORD } from '../../src/actor/record.ts'
import { type MoveMessage, Router, type SlotMove } from '../../src/actor/router.ts'
import type { TopicSince, TopicWire } from '../../src/actor/topic-connection.ts'
import { slotOfTopic, type TopicDefinition } from '../../src/actor/topic-definition.ts'
import type { TopicCounts } from '../../src/actor/topic-feed.ts'
import type { FrozenSubscription, FrozenTopic } from '../../src/actor/topic-frozen.ts'
import { TopicHomes } from '../../src/actor/topic-homes.ts'
import type { TopicEncoder } from '../../src/actor/topic-message.ts'
import { isForHome, isForRelay } from '../../src/actor/topic-record.ts'
import { TopicRelay } from '../../src/actor/topic-relay.ts'
import type { TopicSpanOptions } from '../../src/actor/topic-span.ts'
import { DROP_REASONS, type DropReason } from '../../src/observe/family.ts'
import { createLogger } from '../../src/observe/logger.ts'
import type { Cell } from '../../src/observe/metrics.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { recordOf } from '../harness/record.ts'
import { Client, TestConnection } from './topic-client.ts'

export const RECENT_BYTES = 64 * 1024
export const SLOW_BYTES = 4096
export const QUEUE_MAX = 8

export interface WorldOptions {
  readonly threads: number
  readonly definitions: readonly TopicDefinition[]
  /** Of threads from this one on: those of the code that a reload brings. */
  readonly later?: { readonly thread: number; readonly definitions: readonly TopicDefinition[] }
  /** Topics may span hosts. Then much happens in microtasks. */
  readonly span?: TopicSpanOptions
  readonly encoders?: ReadonlyMap<string, TopicEncoder>
  /** Records a link holds; one more is refused. Default: no limit. */
  readonly linkMax?: number
  readonly random?: () => number
  readonly topicsMax?: number
  readonly subscriptionsMax?: number
}

interface Packet {
  readonly kind: number
  readonly bytes: Buffer
}

type PortMessage = MoveMessage | { readonly kind: 'topics'; readonly frozen: readonly FrozenTopic[] }

export class TestThread {
  readonly router: Router
  readonly homes: TopicHomes
  readonly relay: TopicRelay
  readonly counts = new Map<string, TopicCounts>()
  readonly connections = new Set<TestConnection>()
  readonly deferred: (() => void)[] = []

  constructor(world: World, self: number, options: WorldOptions) {
    const { clock, wheel } = world.timers
    const { later } = options
    const known = later !== undefined && self >= later.thread ? later.definitions : options.definitions
    const definitions = new Map(known.map((definition) => [definition.kind, definition]))
    const { random = Math.random } = options
    const toThread = (
      thread: number,
      kind: number,
      head: Uint8Array,
      headBytes: number,
      body: Uint8Array = Buffer.alloc(0),
      bodyStart = 0,
      bodyBytes = body.length - bodyStart,
    ): boolean => {
      const bytes = recordOf(head, headBytes, body, bodyStart, bodyBytes)
      if (thread !== self) return world.link(self, thread, kind, bytes)
      world.dispatch(this, self, kind, bytes)
      return true
    }
    this.router = new Router({
      self,
      owners: (slot) => world.owners.get(slot) ?? 0,
      toThread,
      deliver: (kind, source, record) => this.homes.receive(kind, record.readUInt16LE(0), source, record),
      stays: () => false,
      reject: () => world.rejected++,
      retry: (attempt) => world.retries.push(attempt),
      ended: () => undefined,
      heldBytesMax: 1024 * 1024,
    })
    const generation = world.generations[self] ?? 0
    const generationOf = (thread: number): number => world.generations[thread] ?? 0
    const common = { clock, wheel, definitions, random, log: LOG, generation, generationOf }
    const { topicsMax, subscriptionsMax } = options
    this.homes = new TopicHomes({
      ...common,
      toThread,
      recentBytes: RECENT_BYTES,
      messageBytesMax: 64 * 1024,
      span: options.span,
      ...(topicsMax === undefined ? {} : { topicsMax }),
    })
    this.relay = new TopicRelay({
      ...common,
      route: (slot, kind, ...rest) => {
        if (world.refusesRoutes && random() < 0.2) return false
        return this.router.route(slot, kind, ...rest)
      },
      isUnheard: (slot, topic, definition) => this.router.isHome(slot) && this.homes.isUnheard(topic, definition),
      slowBytes: SLOW_BYTES,
      queueMax: QUEUE_MAX,
      messageBytesMax: 64 * 1024,
      counts: (kind) => this.countsOf(kind),
      onEvent: (connection, event) => {
        // The relay survives what a handler throws; a failed check must not be lost with it.
        try {
          ;(connection as TestConnection).client.event(event)
        } catch (error) {
          world.failures.push(error)
        }
      },
      defer: (callback) => this.deferred.push(callback),
      ...(options.encoders === undefined ? {} : { encoders: options.encoders }),
      ...(subscriptionsMax === undefined ? {} : { subscriptionsMax }),
    })
  }

  countsOf(kind: string): TopicCounts {
    let counts = this.counts.get(kind)
    if (counts === undefined) {
      const dropped = Object.fromEntries(DROP_REASONS.map((reason) => [reason, { value: 0 }])) as Record<
        DropReason,
        Cell
      >
      counts = { published: { value: 0 }, delivered: { value: 0 }, inFlight: { value: 0 }, dropped }
      this.counts.set(kind, counts)
    }
    return counts
  }

  runDeferred(): void {
    for (let next = this.deferred.shift(); next !== undefined; next = this.deferred.shift()) next()
  }
}

const LOG = createLogger({ level: 'silent', write: () => undefined, base: { thread: 'test' } })

export class World {
  readonly timers = new ManualTimers({ startMs: 1000 })
  /** Thread by slot, as main has it. */
  readonly owners = new Map<number, number>()
  readonly threads: TestThread[]
  readonly generations: number[] = []
  readonly retries: (() => boolean)[] = []
  refusesRoutes = false
  rejected = 0
  readonly failures: unknown[] = []
  refused = 0
  connectionsMade = 0
  readonly #options: WorldOptions
  readonly #links = new Map<number, Packet[]>()
  /** Messages on ports, in order, by from and to; and shifts that threads have not heard of yet. */
  readonly #ports = new Map<number, { readonly move: number; readonly message: PortMessage }[]>()
  readonly #shifts: { readonly thread: number; readonly move: SlotMove }[] = []
  #moves = 0
  #published = 0

  constructor(options: WorldOptions) {
    this.#options = options
    this.threads = []
    for (let thread = 0; thread < options.threads; thread++) this.threads.push(new TestThread(this, thread, options))
  }

  thread(index: number): TestThread {
    const thread = this.threads[index % this.threads.length]
    assert.ok(thread !== undefined)
    return thread
  }

  link(from: number, to: number, kind: number, bytes: Buffer): boolean {
    const packets = this.#links.get(from * 64 + to) ?? []
    this.#links.set(from * 64 + to, packets)
    if (packets.length >= (this.#options.linkMax ?? Infinity) && kind !== ACTOR_RECORD.fence) {
      this.refused++
      return false
    }
    packets.push({ kind, bytes })
    return true
  }

  dispatch(to: TestThread, source: number, kind: number, bytes: Buffer): void {
    if (isForHome(kind)) to.router.receive(kind, source, bytes)
    else if (isForRelay(kind)) to.relay.receive(kind, source, bytes)
    else to.router.fence(bytes.readUInt32LE(0), source)
  }

  /** One turn of the ring from one thread to another. */
  deliver(from: number, to: number, count = Infinity): void {
    const packets = this.#links.get(from * 64 + to)
    const thread = this.threads[to]
    if (packets === undefined || thread === undefined) return
    for (let left = Math.min(count, packets.length); left > 0; left--) {
      const packet = packets.shift()
      if (packet === undefined) break
      this.dispatch(thread, from, packet.kind, packet.bytes)
      // What a record's bytes become afterwards must not matter.
      packet.bytes.fill(0xee)
    }
    thread.relay.endTurn()
    thread.runDeferred()
  }

  /** Everything that is under way arrives, in turns. */
  settle(): void {
    for (let round = 0; round < 1000; round++) {
      let work = 0
      for (const [key, packets] of this.#links) {
        if (packets.length === 0) continue
        work++
        this.deliver(key >> 6, key & 63)
      }
      work += this.#shifts.length
      while (this.#shifts.length > 0) this.shiftNext(0)
      for (const [key, messages] of this.#ports) {
        work += messages.length
        this.port(key >> 6, key & 63)
      }
      for (const attempt of this.retries.splice(0)) {
        work++
        if (!attempt()) this.retries.push(attempt)
      }
      for (const thread of this.threads) thread.runDeferred()
      if (work === 0) return
    }
    assert.fail('it never settles')
  }

  run(ms: number): void {
    this.timers.run(ms)
    for (const thread of this.threads) thread.runDeferred()
  }

  /** Time passes, and everything arrives meanwhile. */
  pass(ms: number, stepMs = 10): void {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.run(stepMs)
      this.settle()
    }
  }

  // ---- slots that move --------------------------------------------------------------------------------------------

  get moving(): boolean {
    return (
      this.#shifts.length > 0 ||
      [...this.#ports.values()].some((messages) => messages.length > 0) ||
      this.threads.some((thread) => thread.router.moving)
    )
  }

  moveTopic(name: string, to: number): void {
    const slot = slotOfTopic(name)
    const from = this.owners.get(slot) ?? 0
    if (from === to) return
    const sources = this.threads.map((_, index) => index)
    const move: SlotMove = { id: ++this.#moves, from, to, slots: Uint16Array.of(slot), sources }
    this.owners.set(slot, to)
    this.thread(to).router.expect(move)
    // The old owner first: it must be there when the others' fences come.
    this.#shiftOwner(move)
    for (const thread of sources) if (thread !== from) this.#shifts.push({ thread, move })
  }

  get shifts(): number {
    return this.#shifts.length
  }

  /** One of the threads hears of a move. */
  shiftNext(pick: number): void {
    const [next] = this.#shifts.splice(pick % Math.max(1, this.#shifts.length), 1)
    if (next === undefined) return
    this.thread(next.thread).router.shift(next.move)
  }

  #shiftOwner(move: SlotMove): void {
    const thread = this.thread(move.from)
    const port = this.#ports.get(move.from * 64 + move.to) ?? []
    this.#ports.set(move.from * 64 + move.to, port)
    const post = (message: PortMessage): unknown => port.push({ move: move.id, message: structuredClone(message) })
    thread.router.shift(move, post)
    const frozen = [...move.slots].flatMap((slot) => thread.homes.freezeSlot(slot))
    post({ kind: 'topics', frozen })
    thread.router.emptied(move.id)
  }

  /** The new owner hears what the old one posted. */
  port(from: number, to: number): void {
    const thread = this.thread(to)
    for (const { move, message } of this.#ports.get(from * 64 + to)?.splice(0) ?? []) {
      if (message.kind === 'topics') thread.homes.thaw(message.frozen)
      else thread.router.arrived(move, message)
    }
    thread.runDeferred()
  }

  ports(): number[] {
    return [...this.#ports].filter(([, messages]) => messages.length > 0).map(([key]) => key)
  }

  links(): number[] {
    return [...this.#links].filter(([, packets]) => packets.length > 0).map(([key]) => key)
  }

  // ---- threads that die -------------------------------------------------------------------------------------------

  /** The thread is gone with everything it had; its successor reads what was left in its links. Only while nothing moves. */
  kill(index: number): TestConnection[] {
    assert.ok(!this.moving)
    const dead = this.thread(index)
    dead.homes.close()
    dead.relay.close()
    const lost = [...dead.connections]
    for (const connection of lost) {
      connection.open = false
      connection.client.live = false
    }
    this.threads.forEach((thread, other) => {
      if (other === index) return
      thread.router.threadDown(index)
      thread.homes.threadDown(index)
      thread.relay.threadDown(index)
    })
    // What it left in its links may be read before its successor begins.
    if (this.#options.random !== undefined && this.#options.random() < 0.5)
      for (let to = 0; to < this.threads.length; to++) if (to !== index) this.deliver(index, to)
    this.generations[index] = (this.generations[index] ?? 0) + 1
    this.threads[index] = new TestThread(this, index, this.#options)
    return lost
  }

  // ---- clients ----------------------------------------------------------------------------------------------------

  connect(
    thread: number,
    topic: string,
    since?: TopicSince,
    options: { wire?: TopicWire; checks?: boolean } = {},
  ): TestConnection {
    const client = new Client(++this.connectionsMade, topic, options.checks)
    client.asked = since
    const connection = new TestConnection(client, options.wire)
    this.thread(thread).connections.add(connection)
    const presence = { id: client.id }
    const outcome = this.thread(thread).relay.subscribe(connection, topic, { presence, ...(since && { since }) })
    assert.equal(outcome, 'accepted')
    this.thread(thread).runDeferred()
    return connection
  }

  close(thread: number, connection: TestConnection): void {
    connection.open = false
    connection.client.live = false
    this.thread(thread).connections.delete(connection)
    this.thread(thread).relay.closed(connection)
  }

  /** The connection leaves its thread, drained; thaw it with `arrive`. */
  leave(thread: number, connection: TestConnection): FrozenSubscription[] {
    const frozen = structuredClone(this.thread(thread).relay.freeze(connection))
    connection.open = false
    this.thread(thread).connections.delete(connection)
    return frozen
  }

  arrive(
    thread: number,
    client: Client,
    frozen: readonly FrozenSubscription[],
    wire: TopicWire = 'frame',
  ): TestConnection {
    const connection = new TestConnection(client, wire)
    this.thread(thread).connections.add(connection)
    this.thread(thread).relay.thaw(connection, frozen)
    this.thread(thread).runDeferred()
    return connection
  }

  publish(thread: number, topic: string, extra: object = {}): boolean {
    const count = ++this.#published
    const isTaken = this.thread(thread).relay.publish(topic, { publisher: thread, count, ...extra })
    this.thread(thread).runDeferred()
    return isTaken
  }

  // ---- what must hold ---------------------------------------------------------------------------------------------

  /** The books balance on every thread, at this moment. */
  checkBooks(): void {
    for (const failure of this.failures) throw failure
    for (const { counts } of this.threads) {
      for (const [kind, { published, delivered, inFlight, dropped }] of counts) {
        const lost = Object.values(dropped).reduce((sum, cell) => sum + cell.value, 0)
        assert.equal(published.value, delivered.value + inFlight.value + lost, `the books of ${kind}`)
        assert.ok(inFlight.value >= 0 && delivered.value >= 0 && published.value >= 0)
      }
    }
  }

  /** Nothing waits for anything any more, but for an audit that may just have begun. */
  checkQuiet(): void {
    for (let tries = 0; tries < 3 && this.threads.some(({ relay }) => relay.report().busy > 0); tries++)
      this.pass(120, 60)
    for (const thread of this.threads) {
      const { busy, pulls, waiting, held, apart, asks } = thread.relay.report()
      assert.deepEqual(
        { busy, pulls, waiting, held, apart, asks },
        { busy: 0, pulls: 0, waiting: 0, held: 0, apart: 0, asks: 0 },
      )
      for (const { inFlight } of thread.counts.values()) assert.equal(inFlight.value, 0)
      assert.equal(thread.homes.report().behind, 0)
    }
  }
}

/** Puts position and publisher into the payload, for clients that check. */
export function positioned(message: unknown, position: { epoch: number; offset: number }): string {
  const { epoch, offset } = position
  return JSON.stringify({ ...(message as object), epoch, offset })
}
