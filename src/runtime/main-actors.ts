// Actors and topics as main reaches them, for programs that use the runtime as a library: main owns no slot and only
// sends.
import { type ActorRef, refTo } from '../actor/actor-ref.ts'
import type { ActorDefinition, Handlers } from '../actor/definition.ts'
import type { SlotMove } from '../actor/router.ts'
import { checkedKindOfTopic, type TopicDefinition } from '../actor/topic-definition.ts'
import { TopicAddresses } from '../actor/topic-inquiry.ts'
import { TopicPublisher } from '../actor/topic-publisher.ts'
import type { CoreConfig } from '../config/core-options.ts'
import type { Clock } from '../lib/clock.ts'
import { THREAD } from '../lib/thread.ts'
import type { Logger } from '../observe/logger.ts'
import type { ThreadMetrics } from '../observe/metrics.ts'
import { Mesh } from '../ring/mesh.ts'
import { ABSENT_STORE } from '../store/absent-store.ts'
import { createNodeWheel } from '../timer/node-wheel.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { ActorThread } from './actor-thread.ts'
import type { LinkBook } from './link-book.ts'

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
  readonly #publisher: TopicPublisher

  constructor(options: MainActorsOptions) {
    const { clock, config, doorbells, slots, links, log, metrics } = options
    this.#wheel = createNodeWheel(clock)
    this.#mesh = new Mesh({
      self: THREAD.main,
      generation: 1,
      doorbells,
      requestLink: (peer) => links.want(THREAD.main, peer),
      sink: (source, kind, bytes, offset, length) => {
        this.#actors.receive(kind, source, Buffer.from(bytes.buffer, bytes.byteOffset + offset, length))
      },
      overflowBytesMax: config.ring.overflow,
      messageBytesMax: config.ring.messageMax,
      bell: config.ring.doorbell === 'port' ? 'port' : 'wait-async',
      clock,
    })
    links.up(THREAD.main, {
      link: (end) => this.#mesh.attach(end),
      unlink: (peer) => this.#mesh.detach(peer),
      forget: (peer) => this.#mesh.forget(peer),
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
        store: ABSENT_STORE,
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

  shift(move: SlotMove): void {
    this.#actors.router.shift(move)
  }

  threadDown(thread: number): void {
    this.#actors.threadDown(thread)
  }

  /** Now and then: finds what a lost wake-up left lying. */
  look(nowMs: number): void {
    this.#mesh.watchdog(nowMs)
  }

  close(): void {
    this.#actors.system.close()
    this.#mesh.close()
    this.#wheel.close()
  }
}
