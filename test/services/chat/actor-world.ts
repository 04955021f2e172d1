// Chat's actors on the shards of the fixture, with the real store in memory behind its real client and host: records
// wait in two lists, so that a test can hold the way there and back, or cut it. What is published is kept.

import type { ActorRef } from '../../../src/actor/actor-ref.ts'
import type { ActorContext } from '../../../src/actor/context.ts'
import type { ActorDefinition, Handlers } from '../../../src/actor/definition.ts'
import { createLogger } from '../../../src/observe/logger.ts'
import { slotOf } from '../../../src/placement/slots.ts'
import { CALL_AT } from '../../../src/ring/call-record.ts'
import { type ChatHandlers, type ChatState, chatActor } from '../../../src/services/chat/chat-actor.ts'
import type { ChatConfig } from '../../../src/services/chat/config.ts'
import {
  PRESENCE_ID,
  type PresenceHandlers,
  type PresenceState,
  presenceActor,
} from '../../../src/services/chat/presence-actor.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import { StoreClient } from '../../../src/store/store-client.ts'
import { STORE_LIMITS, StoreHost } from '../../../src/store/store-host.ts'
import { OPERATIONS } from '../../../src/store/store-record.ts'
import { FixtureShards } from '../../actor/shard-fixture.ts'
import { recordOf } from '../../harness/record.ts'

export const CONFIG: ChatConfig = {
  httpUserId: 1,
  autoCreateUsers: false,
  auth: 'none',
  jwt: { secret: undefined },
  rateLimit: { rate: 0, burst: 1 },
  maxPacketBytes: 65_536,
  packetTimeout: 10_000,
  idleTimeout: 300_000,
  maxDatagramBytes: 1_500,
  presenceTtl: 60_000,
  typingTtl: 5_000,
  cacheBytes: 256 * 1024,
  cacheBytesTotal: 64 * 1024 * 1024,
}

const THREADS = [8, 9]
export const STORE_TIMEOUT_MS = 3_000
/** How much later than its time a timer of a minute may come: the wheel's grain. */
export const LATE_MS = 140
const CELL = { observe: (): void => {} }

export interface WorldOptions {
  readonly config?: Partial<ChatConfig>
  readonly presenceMax?: number
  /** Calls the way to the store takes. */
  readonly callsMax?: number
  /** The store says that hosts share it: what a test gives to `engine` comes from another one. */
  readonly isShared?: boolean
}

export class ActorWorld {
  readonly config: ChatConfig
  readonly shards: FixtureShards
  readonly engine: MemoryStore
  /** Lines, as `topic line`. */
  readonly published: string[] = []
  /** Operations in the order the store was called. */
  readonly called: string[] = []
  /** The store gets nothing. */
  isHeld = false
  /** Publishing is refused. */
  isDeaf = false
  readonly #client: StoreClient
  readonly #host: StoreHost
  readonly #toStore: { readonly kind: number; readonly record: Buffer }[] = []
  readonly #scheduled: (() => void)[] = []
  readonly #chats: ActorDefinition<ChatState, ChatHandlers>
  readonly #presence: ActorDefinition<PresenceState, PresenceHandlers>
  #users = 1
  readonly #contexts = new WeakMap<ActorContext, ActorContext>()
  readonly #isShared: boolean

  constructor({ config, presenceMax, callsMax = 10_000, isShared = false }: WorldOptions = {}) {
    this.#isShared = isShared
    this.config = { ...CONFIG, ...config }
    this.#chats = this.#placed(chatActor(this.config))
    this.#presence = this.#placed(presenceActor(this.config, presenceMax))
    const limits = { mailboxMax: 8_192, asksMax: 8_192, askTimeoutMs: 20_000, messageBytesMax: 1024 * 1024 }
    this.shards = new FixtureShards([this.#chats, this.#presence], THREADS, limits)
    const { clock, wheel } = this.shards.timers
    this.engine = new MemoryStore(clock)
    this.#host = new StoreHost({
      engine: this.engine,
      reply: (_thread, kind, head, headBytes, body, start, bytes) =>
        this.#client.receive(kind, recordOf(head, headBytes, body, start, bytes)),
      commitSeconds: CELL as never,
      batchSize: CELL as never,
      log: createLogger({ level: 'silent', write: () => {}, base: { thread: 'store' } }),
      clock,
      limits: STORE_LIMITS,
      schedule: (run) => void this.#scheduled.push(run),
    })
    this.#client = new StoreClient({
      send: (kind, head, headBytes, body, start, bytes) => {
        const record = recordOf(head, headBytes, body, start, bytes)
        this.called.push(OPERATIONS[record[CALL_AT.what] as number] ?? 'unknown')
        return this.#toStore.push({ kind, record }) > 0
      },
      clock,
      wheel,
      timeoutMs: STORE_TIMEOUT_MS,
      callsMax,
    })
  }

  chat(id: number | string): ActorRef<ChatHandlers> {
    return this.shards.ref(THREADS[0] as number, this.#chats, String(id))
  }

  get presence(): ActorRef<PresenceHandlers> {
    return this.shards.ref(THREADS[0] as number, this.#presence, PRESENCE_ID)
  }

  /** Runs actors and the store until nothing is left to do. */
  async run(): Promise<void> {
    do await this.shards.run()
    while (!this.isHeld && this.#answer())
  }

  /** Lets time pass, then runs. */
  async pass(ms: number): Promise<void> {
    this.shards.timers.run(ms)
    await this.run()
  }

  async answerOf<T>(asked: Promise<T>): Promise<T> {
    asked.catch(() => {})
    await this.run()
    return asked
  }

  /** What was published since the last time. */
  takePublished(): string[] {
    return this.published.splice(0)
  }

  takeCalled(): string[] {
    return this.called.splice(0)
  }

  /** The store's thread dies. With `done`, after it did what it had been sent; its answers are lost. */
  async kill(done: boolean): Promise<void> {
    const lost = this.#toStore.splice(0)
    this.#client.storeDown()
    if (done) for (const { kind, record } of lost) this.#host.receive(0, kind, record)
    this.#runStore()
    await this.run()
  }

  /** Their ids go on from 2. */
  addUsers(count: number): void {
    for (let index = 0; index < count; index++) this.engine.createUser({ name: `name${++this.#users}` })
  }

  /** Moves an actor to the other shard. */
  async move(name: string): Promise<void> {
    const slot = slotOf(name)
    const from = this.shards.owners[slot] as number
    this.shards.move([slot], from, THREADS.find((thread) => thread !== from) as number)
    await this.run()
  }

  /** Actors that are active. */
  get active(): number {
    return THREADS.reduce((sum, thread) => sum + this.shards.shard(thread).system.size, 0)
  }

  #answer(): boolean {
    const calls = this.#toStore.splice(0)
    for (const { kind, record } of calls) this.#host.receive(0, kind, record)
    this.#runStore()
    return calls.length > 0
  }

  #runStore(): void {
    for (let run = this.#scheduled.shift(); run !== undefined; run = this.#scheduled.shift()) run()
  }

  /** The definition, with this world's store and topics in its context: the fixture has neither. */
  #placed<State, H extends Handlers<State>>(definition: ActorDefinition<State, H>): ActorDefinition<State, H> {
    const on = Object.entries(definition.on as unknown as Record<string, (...all: unknown[]) => unknown>).map(
      ([method, run]) => [
        method,
        (state: unknown, argument: unknown, context: ActorContext) => run(state, argument, this.#contextOf(context)),
      ],
    )
    return { ...definition, on: Object.fromEntries(on) as H }
  }

  #contextOf(context: ActorContext): ActorContext {
    const known = this.#contexts.get(context)
    if (known !== undefined) return known
    const store = { ...this.#client.store, isShared: this.#isShared }
    const publish = (topic: string, line: unknown): boolean =>
      !this.isDeaf && this.published.push(`${topic} ${line}`) > 0
    const made = new Proxy(context, {
      get: (target, name) => {
        if (name === 'store') return store
        if (name === 'publish') return publish
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    this.#contexts.set(context, made)
    return made
  }
}
