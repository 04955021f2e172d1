// The actor side of one thread: its router and its actor system, on top of its rings. Shards and main have one.

import { Barriers } from '../actor/barrier.ts'
import type { ActorServices } from '../actor/context.ts'
import type { ActorDefinition } from '../actor/definition.ts'
import { Gates } from '../actor/gate.ts'
import { type ActorKind, createKind } from '../actor/kind.ts'
import { ACTOR_RECORD } from '../actor/record.ts'
import { Router, type SlotMove } from '../actor/router.ts'
import { ActorSystem } from '../actor/system.ts'
import type { CoreConfig } from '../config/core-options.ts'
import type { Clock } from '../lib/clock.ts'
import { THREADS_MAX, threadOfSeat } from '../lib/thread.ts'
import { type ActorsReport, DEEPEST_MAX, HANDLERS_MAX } from '../observe/actor-report.ts'
import {
  DEAD_REASONS,
  type DeadReason,
  FAMILIES,
  MESSAGE_RESULTS,
  type MessageResult,
  ofKinds,
} from '../observe/family.ts'
import type { Logger } from '../observe/logger.ts'
import type { Cell, ThreadMetrics } from '../observe/metrics.ts'
import { SlotTable } from '../placement/slots.ts'
import type { Mesh } from '../ring/mesh.ts'
import type { TimerWheel } from '../timer/wheel.ts'

/** What one move may make its new owner hold. */
const HELD_BYTES_MAX = 32 * 1024 * 1024
/** Mailboxes are counted at most so often: it means a look at every actor. */
const DEPTHS_MS = 100
/** How soon a fence or a barrier that found its ring full is tried again. */
const RETRY_MS = 5

export interface ActorThreadOptions {
  readonly self: number
  readonly shard: number
  readonly generation: number
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly mesh: Mesh
  readonly slots: SharedArrayBuffer
  readonly config: CoreConfig
  readonly log: Logger
  readonly metrics: ThreadMetrics
  readonly definitions: readonly ActorDefinition[]
  readonly services: ActorServices
  /** Routed records that are not for actors. */
  readonly deliver: (kind: number, source: number, record: Buffer) => void
  readonly stays: (kind: number, source: number, record: Buffer) => boolean
  readonly ended: (move: SlotMove) => void
}

export class ActorThread {
  readonly router: Router
  readonly system: ActorSystem
  readonly #options: ActorThreadOptions
  readonly #kinds: ReadonlyMap<string, ActorKind>
  readonly #dead: Readonly<Record<DeadReason, Cell>>
  /** Threads that something was sent to: 1 by index. A look at it is cheaper than adding to a set for each message. */
  readonly #sentTo = new Uint8Array(THREADS_MAX)
  readonly #barriers: Barriers
  readonly gates: Gates
  readonly #depths = new Map<string, number>()
  #depthsMs = Number.NEGATIVE_INFINITY

  constructor(options: ActorThreadOptions) {
    const { self, mesh, wheel, config, metrics, definitions } = options
    this.#options = options
    const table = new SlotTable(options.slots)
    const retry = (attempt: () => boolean): void => {
      const again = (): void => {
        if (!attempt()) wheel.schedule(RETRY_MS, again)
      }
      wheel.schedule(RETRY_MS, again)
    }
    this.#barriers = new Barriers({
      // What an old owner passes on to a new one goes there too.
      sentTo: () => [...indexesOf(this.#sentTo), ...this.router.newOwners],
      toThread: (thread, kind, head, headBytes) => mesh.send(thread, 'data', kind, head, headBytes),
      toAsker: (thread, kind, head, headBytes) => mesh.send(thread, 'control', kind, head, headBytes),
      retry,
      holds: (source) => this.router.holds(source),
      generation: options.generation,
    })
    this.gates = new Gates({ barrier: (done) => this.#barriers.begin(done), soon: queueMicrotask })
    const letters = metrics.counter(FAMILIES.actorDeadLetters)
    this.#dead = recordOf(DEAD_REASONS, (reason) => letters.cell({ reason }))
    this.#kinds = createKinds(definitions, config, metrics, (kind) => this.#depthOf(kind))
    this.router = new Router({
      self,
      owners: (slot) => threadOfSeat(table.shardOf(slot)),
      toThread: (thread, kind, head, headBytes, body, bodyStart, bodyBytes) =>
        this.toThread(thread, kind, head, headBytes, body, bodyStart, bodyBytes),
      deliver: (kind, source, record, now) => {
        if (isForActor(kind)) this.system.deliver(kind, source, record, now)
        else options.deliver(kind, source, record)
      },
      stays: (kind, source, record) =>
        isForActor(kind) ? this.system.stays(kind, source, record) : options.stays(kind, source, record),
      reject: (kind, source, record, reason) => {
        if (isForActor(kind)) this.system.reject(kind, source, record, reason)
        else options.log.warn('runtime.record_rejected', { record: kind, reason })
      },
      retry,
      released: () => this.#barriers.released(),
      ended: options.ended,
      heldBytesMax: HELD_BYTES_MAX,
    })
    const { actor, ring, reload } = config
    this.system = new ActorSystem({
      self,
      generation: options.generation,
      clock: options.clock,
      wheel,
      router: this.router,
      kinds: this.#kinds,
      log: options.log,
      services: options.services,
      toAsker: (thread, kind, head, headBytes, body, bodyStart, bodyBytes) =>
        mesh.send(thread, 'control', kind, head, headBytes, body, bodyStart, bodyBytes),
      deadLetter: (reason) => void this.#dead[reason].value++,
      gates: this.gates,
      limits: {
        mailboxMax: actor.mailbox,
        askTimeoutMs: actor.askTimeout,
        asksMax: actor.asks,
        serialiseLocal: actor.serialiseLocal,
        messageBytesMax: ring.messageMax,
        handlerGraceMs: reload.handlerGrace,
        failuresMax: actor.failures.max,
        windowMs: actor.failures.window,
        coolDownMs: actor.failures.coolDown,
        backoffMinMs: actor.restartBackoff.min,
        backoffMaxMs: actor.restartBackoff.max,
      },
    })
  }

  /** Sends to a given thread, which is another one. */
  toThread(
    thread: number,
    kind: number,
    head: Uint8Array,
    headBytes: number,
    body?: Uint8Array,
    bodyStart = 0,
    bodyBytes = body === undefined ? 0 : body.byteLength - bodyStart,
  ): boolean {
    this.#sentTo[thread] = 1
    return this.#options.mesh.send(thread, 'data', kind, head, headBytes, body, bodyStart, bodyBytes)
  }

  /**
   * A message or an answer of another thread as it lies in a ring, `bytes[start, end)`, read where it lies: these are the
   * many. False: it is to be given to `receive`.
   */
  receiveHere(kind: number, source: number, bytes: Buffer, view: DataView, start: number, end: number): boolean {
    if (kind === ACTOR_RECORD.reply) this.system.answered(bytes, view, start, end)
    else if (isForActor(kind)) return this.system.receive(kind, source, bytes, view, start, end)
    else return false
    return true
  }

  /** Any other record of another thread. False: it is none of the actors'. */
  receive(kind: number, source: number, record: Buffer): boolean {
    if (kind === ACTOR_RECORD.fence) this.router.fence(record.readUInt32LE(0), source)
    else if (kind === ACTOR_RECORD.barrier) this.#barriers.asked(record.readUInt32LE(0), source)
    else if (kind === ACTOR_RECORD.passed) this.#barriers.passed(record.readUInt32LE(0), source)
    else if (isForActor(kind)) this.router.receive(kind, source, record)
    else return false
    return true
  }

  /** Barriers that this thread waits for: what it sent has not all arrived. */
  get openBarriers(): number {
    return this.#barriers.open
  }

  /** A thread is gone; call it before its successor may send. */
  threadDown(thread: number): void {
    this.#sentTo[thread] = 0
    this.router.threadDown(thread)
    this.#barriers.threadDown(thread)
    this.gates.threadDown(thread)
  }

  /** Of the fullest mailbox of a kind. All kinds are looked at together, once per collection. */
  #depthOf(kind: string): number {
    const nowMs = this.#options.clock.nowMs()
    if (nowMs - this.#depthsMs > DEPTHS_MS) {
      this.#depthsMs = nowMs
      this.#depths.clear()
      for (const { address, depth } of this.system.activations()) {
        if (depth > (this.#depths.get(address.kind) ?? 0)) this.#depths.set(address.kind, depth)
      }
    }
    return this.#depths.get(kind) ?? 0
  }

  report(): ActorsReport {
    const deep: { actor: string; shard: number; mailbox_depth: number }[] = []
    for (const { address, depth } of this.system.activations()) {
      if (depth === 0) continue
      deep.push({ actor: `${address.kind}/${address.id}`, shard: this.#options.shard, mailbox_depth: depth })
    }
    const kinds = [...this.#kinds.values()].map((kind) => ({
      kind: kind.name,
      active: kind.active,
      mailbox_depth: this.#depthOf(kind.name),
      messages: recordOf(MESSAGE_RESULTS, (result) => kind.messages[result].value),
      handlers: [...kind.handlers.values()]
        .filter(({ calls }) => calls > 0)
        .map(({ method, calls, timed, timedMs, maxMs }) => ({
          method,
          count: calls,
          mean_seconds: timed === 0 ? 0 : timedMs / timed / 1000,
          max_seconds: maxMs / 1000,
        }))
        .sort((a, b) => b.mean_seconds - a.mean_seconds)
        .slice(0, HANDLERS_MAX),
    }))
    return {
      kinds,
      deepest: deep.sort((a, b) => b.mailbox_depth - a.mailbox_depth).slice(0, DEEPEST_MAX),
      dead_letters: recordOf(DEAD_REASONS, (reason) => this.#dead[reason].value),
    }
  }
}

function indexesOf(flags: Uint8Array): number[] {
  const indexes: number[] = []
  for (const [index, flag] of flags.entries()) if (flag === 1) indexes.push(index)
  return indexes
}

function isForActor(kind: number): boolean {
  return kind === ACTOR_RECORD.tell || kind === ACTOR_RECORD.ask
}

function createKinds(
  definitions: readonly ActorDefinition[],
  config: CoreConfig,
  metrics: ThreadMetrics,
  depthOf: (kind: string) => number,
): ReadonlyMap<string, ActorKind> {
  const names = definitions.map(({ kind }) => kind)
  const messages = metrics.counter(ofKinds(FAMILIES.actorMessages, names))
  const active = metrics.gauge(ofKinds(FAMILIES.actorActive, names))
  const depth = metrics.gauge(ofKinds(FAMILIES.actorMailboxDepth, names))
  const kinds = new Map<string, ActorKind>()
  for (const definition of definitions) {
    const { kind } = definition
    const cells = recordOf(MESSAGE_RESULTS, (result: MessageResult) => messages.cell({ kind, result }))
    const created = createKind(definition, config.actor.idleAfter, cells)
    kinds.set(kind, created)
    active.read({ kind }, () => created.active)
    depth.read({ kind }, () => depthOf(kind))
  }
  return kinds
}

function recordOf<K extends string, V>(keys: readonly K[], value: (key: K) => V): Record<K, V> {
  return Object.fromEntries(keys.map((key) => [key, value(key)])) as Record<K, V>
}
