// Chat's HTTP API in one thread without sockets: Fastify, the real actors and the store in memory, on a clock that
// stands still. The store can be made to fail.
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import { refTo } from '../../../src/actor/actor-ref.ts'
import { Barriers } from '../../../src/actor/barrier.ts'
import type { ActorServices } from '../../../src/actor/context.ts'
import type { ActorDefinition } from '../../../src/actor/definition.ts'
import { Gates } from '../../../src/actor/gate.ts'
import { createKind } from '../../../src/actor/kind.ts'
import { Router } from '../../../src/actor/router.ts'
import { ActorSystem } from '../../../src/actor/system.ts'
import { ABSENT_BRIDGE } from '../../../src/bridge/absent-bridge.ts'
import { loadConfig } from '../../../src/config/loader.ts'
import { serviceOptions } from '../../../src/config/service-options.ts'
import { PolyloopError } from '../../../src/lib/errors.ts'
import { TokenBuckets } from '../../../src/net/token-buckets.ts'
import { createLogger } from '../../../src/observe/logger.ts'
import { ThreadMetrics } from '../../../src/observe/metrics.ts'
import { chatActor } from '../../../src/services/chat/chat-actor.ts'
import { CHAT_OPTIONS } from '../../../src/services/chat/config.ts'
import { createHttpApp, type HttpConfig } from '../../../src/services/chat/http-api.ts'
import { PRESENCE_ID, presenceActor } from '../../../src/services/chat/presence-actor.ts'
import type { ServiceContext, StatusSource } from '../../../src/services/service.ts'
import { MemoryStore } from '../../../src/store/memory-store.ts'
import type { Store } from '../../../src/store/store.ts'
import { StoreClient } from '../../../src/store/store-client.ts'
import { isWrite, type StoreEngine, type StoreOutcome } from '../../../src/store/store-engine.ts'
import { STORE_LIMITS, StoreHost } from '../../../src/store/store-host.ts'
import { ManualTimers } from '../../../src/timer/manual-timers.ts'
import { LIMITS } from '../../actor/shard-fixture.ts'
import { recordOf } from '../../harness/record.ts'

/** One thread, which owns every slot. */
const SELF = 1
const STORE_TIMEOUT_MS = 5_000
/** For tests that do not ask. */
const NO_STATUS: StatusSource = {
  health: () => Promise.reject(new PolyloopError('CONTROL_TIMEOUT')),
  readiness: () => Promise.reject(new PolyloopError('CONTROL_TIMEOUT')),
  metrics: () => Promise.reject(new PolyloopError('CONTROL_TIMEOUT')),
}

export class HttpWorld {
  readonly timers = new ManualTimers({ startMs: 1_000 })
  readonly metrics = new ThreadMetrics()
  readonly logged: Record<string, unknown>[] = []
  readonly config: HttpConfig
  readonly system: ActorSystem
  readonly store: Store
  /** What the engine says to writes, or to everything, instead of doing it. */
  failure: { readonly of: 'writes' | 'all'; readonly outcome: StoreOutcome } | undefined
  readonly #status: StatusSource
  #app: FastifyInstance | undefined

  constructor(values: object, status: StatusSource) {
    this.config = configOf(values)
    this.#status = status
    this.store = this.#createStore()
    this.system = this.#createSystem()
  }

  async start(): Promise<this> {
    this.#app = await createHttpApp(this.#context())
    return this
  }

  get app(): FastifyInstance {
    if (this.#app === undefined) throw new Error('start() comes first')
    return this.#app
  }

  request(options: InjectOptions): Promise<LightMyRequestResponse> {
    return this.app.inject(options)
  }

  get(url: string, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> {
    return this.request({ method: 'GET', url, headers })
  }

  post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> {
    return this.request({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/json', ...headers },
      payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    })
  }

  status(userId: number, status: string): Promise<unknown> {
    return refTo(this.system, presenceActor(this.config), PRESENCE_ID).ask('status', { userId, status })
  }

  typing(chatId: number, userId: number): Promise<unknown> {
    return refTo(this.system, chatActor(this.config), String(chatId)).ask('typing', { userId })
  }

  /** The value of a series of the request counter. */
  async counted(method: string, route: string, status: string): Promise<number | undefined> {
    const family = (await this.metrics.collect()).find(({ name }) => name === 'polyloop_chat_http_requests_total')
    const wanted = { method, route, status }
    const isWanted = (labels: Readonly<Record<string, unknown>>): boolean =>
      Object.entries(wanted).every(([name, value]) => labels[name] === value)
    return family?.values.find(({ labels }) => isWanted(labels))?.value
  }

  #createStore(): Store {
    const { clock, wheel } = this.timers
    const memory = new MemoryStore(clock)
    const engine: StoreEngine = {
      run: (calls) => {
        const done = memory.run(calls.filter(({ operation }) => this.#failureOf(operation) === undefined))
        const outcomes = [...done]
        return calls.map(({ operation }) => this.#failureOf(operation) ?? (outcomes.shift() as StoreOutcome))
      },
      close: () => memory.close(),
    }
    const log = createLogger({ level: 'silent', write: () => {}, base: { thread: 'store' } })
    const host = new StoreHost({
      engine,
      reply: (_thread, kind, head, headBytes, body, start, bytes) => {
        client.receive(kind, recordOf(head, headBytes, body, start, bytes))
        return true
      },
      commitSeconds: { observe: () => {} },
      batchSize: { observe: () => {} },
      log,
      clock,
      limits: STORE_LIMITS,
    })
    const client = new StoreClient({
      send: (kind, head, headBytes, body, start, bytes) =>
        host.receive(SELF, kind, recordOf(head, headBytes, body, start, bytes)),
      clock,
      wheel,
      timeoutMs: STORE_TIMEOUT_MS,
      callsMax: 10_000,
    })
    return client.store
  }

  #failureOf(operation: Parameters<typeof isWrite>[0]): StoreOutcome | undefined {
    if (this.failure === undefined || (this.failure.of === 'writes' && !isWrite(operation))) return undefined
    return this.failure.outcome
  }

  #createSystem(): ActorSystem {
    const { clock, wheel } = this.timers
    const log = createLogger({ level: 'silent', write: () => {}, base: { thread: 'shard' } })
    const cell = { value: 0 }
    const messages = { ok: cell, failed: cell, refused: cell, dead: cell }
    // The actors of chat: what kinds know is the definition without its types.
    const definitions = [chatActor(this.config), presenceActor(this.config)] as unknown as ActorDefinition[]
    const kinds = new Map(definitions.map((one) => [one.kind, createKind(one, 60_000, messages)]))
    const services: ActorServices = {
      clock,
      log,
      store: this.store,
      bridge: ABSENT_BRIDGE,
      send: () => true,
      close: () => true,
      publish: () => true,
      offload: () => Promise.reject(new Error('no pool here')),
    }
    const barriers = new Barriers({
      sentTo: () => [],
      toThread: () => false,
      toAsker: () => false,
      retry: () => {},
      holds: () => false,
    })
    const router = new Router({
      self: SELF,
      owners: () => SELF,
      toThread: () => false,
      deliver: (kind, source, record, now) => system.deliver(kind, source, record, now),
      stays: () => false,
      reject: () => {},
      retry: () => {},
      ended: () => {},
      heldBytesMax: 0,
    })
    const system = new ActorSystem({
      self: SELF,
      generation: 1,
      clock,
      wheel,
      router,
      kinds,
      limits: { ...LIMITS, mailboxMax: 4_096, messageBytesMax: 1024 * 1024 },
      log,
      services,
      toAsker: () => false,
      deadLetter: () => {},
      gates: new Gates({ barrier: (done) => barriers.begin(done), soon: queueMicrotask }),
    })
    return system
  }

  #context(): ServiceContext<HttpConfig> {
    const { timers, metrics, system, config, store } = this
    const buckets = new TokenBuckets(TokenBuckets.allocate(), timers.clock)
    const used = {
      config,
      shard: { id: 0, count: 1 },
      log: createLogger({
        level: 'info',
        write: (line) => this.logged.push(JSON.parse(line) as Record<string, unknown>),
        base: { thread: 'shard', shard: 0 },
      }),
      metrics,
      clock: timers.clock,
      store,
      status: this.#status,
      takeToken: (key, rate, burst) => buckets.take(key, rate, burst),
      actor: (definition, id) => refTo(system, definition, id),
    } satisfies Partial<ServiceContext<HttpConfig>>
    // Connections and topics are not HTTP's.
    return used as unknown as ServiceContext<HttpConfig>
  }
}

/** A world that has started. */
export function startHttpWorld(values: object = {}, status: StatusSource = NO_STATUS): Promise<HttpWorld> {
  return new HttpWorld(values, status).start()
}

function configOf(values: object): HttpConfig {
  const rows = serviceOptions('chat', { options: CHAT_OPTIONS, listeners: { http: { port: 8080 } } })
  return loadConfig({ options: rows, values: { services: { chat: values } } }).config.services.chat
}
