// Actors and topics as main reaches them, for programs that use the runtime as a library: main owns no slot and only
// sends.
import { setImmediate as turn } from 'node:timers/promises'
import { type ActorRef, refTo } from '../actor/actor-ref.ts'
import type { ActorDefinition, Handlers } from '../actor/definition.ts'
import type { SlotMove } from '../actor/router.ts'
import { checkedKindOfTopic, type TopicDefinition } from '../actor/topic-definition.ts'
import { TopicAddresses } from '../actor/topic-inquiry.ts'
import { TopicPublisher } from '../actor/topic-publisher.ts'
import type { Bridge } from '../bridge/bridge.ts'
import type { CoreConfig } from '../config/core-options.ts'
import type { Clock } from '../lib/clock.ts'
import { THREAD } from '../lib/thread.ts'
import { errorFields, type Logger } from '../observe/logger.ts'
import type { ThreadMetrics } from '../observe/metrics.ts'
import { Mesh } from '../ring/mesh.ts'
import { createNodeWheel } from '../timer/node-wheel.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { ActorThread } from './actor-thread.ts'
import { CallClients } from './call-clients.ts'
import { recordBytesMaxOf } from './limits.ts'
import type { LinkBook } from './link-book.ts'

/** For as many answers as may be under way: a turn brings hundreds of them. */
const SETTLE_TURNS_MAX = 1_000
/** What listeners of channels throw. */
const ERRORS_LOGGED_PER_SECOND = 10

export interface MainActorsOptions {
  readonly clock: Clock
  readonly config: CoreConfig
  readonly doorbells: SharedArrayBuffer
  readonly slots: SharedArrayBuffer
  readonly links: LinkBook
  readonly log: Logger
  readonly metrics: ThreadMetrics
  readonly topics: readonly TopicDefinition[]
  readonly offload: (module: string, task: string, argument: unknown) => Promise<unknown>
}

export class MainActors {
  readonly thread = THREAD.main
  readonly #mesh: Mesh
  readonly #wheel: TimerWheel
  readonly #actors: ActorThread
  readonly #calls: CallClients
  readonly #publisher: TopicPublisher

  constructor(options: MainActorsOptions) {
    const { clock, config, doorbells, slots, links, log, metrics } = options
    this.#wheel = createNodeWheel(clock)
    this.#mesh = new Mesh({
      self: THREAD.main,
      generation: 1,
      doorbells,
      requestLink: (peer) => links.want(THREAD.main, peer),
      sink: (source, kind, bytes, offset, length, view) => {
        if (this.#actors.receiveHere(kind, source, bytes, view, offset, offset + length)) return
        const record = bytes.subarray(offset, offset + length)
        if (!this.#calls.receive(kind, record)) this.#actors.receive(kind, source, record)
      },
      overflowBytesMax: config.ring.overflow,
      messageBytesMax: recordBytesMaxOf(config),
      bell: config.ring.doorbell === 'port' ? 'port' : 'wait-async',
      clock,
    })
    links.up(THREAD.main, {
      link: (end) => this.#mesh.attach(end),
      unlink: (peer) => this.#mesh.detach(peer),
      forget: (peer) => this.#mesh.forget(peer),
    })
    const errors = log.limited('runtime.listener_failed', ERRORS_LOGGED_PER_SECOND)
    this.#calls = new CallClients({
      usesStore: false,
      // Whether there is a thread may change with a reload.
      usesBridge: true,
      config,
      generation: 1,
      clock,
      wheel: this.#wheel,
      toThread: (...record) => this.#actors.toThread(...record),
      onError: (error) => errors.error(errorFields(error)),
    })
    const nothing = (): boolean => false
    this.#actors = new ActorThread({
      self: THREAD.main,
      shard: -1,
      generation: 1,
      clock,
      wheel: this.#wheel,
      mesh: this.#mesh,
      slots,
      config,
      log,
      metrics,
      definitions: [],
      services: {
        clock,
        log,
        send: nothing,
        close: nothing,
        publish: (topic, message) => this.publish(topic, message),
        offload: (module, task, argument) => options.offload(String(module), task, argument),
        store: this.#calls.store,
        bridge: this.#calls.bridge,
      },
      deliver: () => {},
      stays: nothing,
      ended: () => {},
    })
    this.#publisher = new TopicPublisher(
      {
        definitions: new Map(options.topics.map((definition) => [definition.kind, definition])),
        route: (slot, kind, head, headBytes, body, bodyStart, bodyBytes) =>
          this.#actors.router.route(slot, kind, head, headBytes, body, bodyStart, bodyBytes),
        messageBytesMax: config.ring.messageMax,
      },
      new TopicAddresses(checkedKindOfTopic),
    )
  }

  actor<State, H extends Handlers<State>>(definition: ActorDefinition<State, H>, id: string): ActorRef<H> {
    return refTo(this.#actors.system, definition, id)
  }

  publish(topic: string, message: unknown): boolean {
    return this.#publisher.publish(topic, message)
  }

  /** Only when its thread has been started: nobody would answer. */
  get bridge(): Bridge {
    return this.#calls.bridge
  }

  shift(move: SlotMove): void {
    this.#actors.router.shift(move)
  }

  threadDown(thread: number): void {
    this.#actors.threadDown(thread)
    this.#calls.threadDown(thread)
  }

  /** Now and then: finds what a lost wake-up left lying. */
  look(nowMs: number): void {
    this.#mesh.watchdog(nowMs)
  }

  /** Answers that are in the rings have come. */
  async settled(): Promise<void> {
    for (let turns = 0; turns < SETTLE_TURNS_MAX && this.#calls.waiting > 0; turns++) await turn()
  }

  close(): void {
    // Nobody answers any more.
    this.#calls.threadDown(THREAD.bridge)
    this.#actors.system.close()
    this.#mesh.close()
    this.#wheel.close()
  }
}
