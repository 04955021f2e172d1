// The topics of one shard: the homes of those in its slots, and the relay of its connections' subscriptions, on top of
// its rings.

import type { Router, ToThread } from '../actor/router.ts'
import type { SubscribeOptions, TopicEvent } from '../actor/topic-connection.ts'
import type { TopicDefinition } from '../actor/topic-definition.ts'
import type { TopicCounts } from '../actor/topic-feed.ts'
import type { FrozenSubscription, FrozenTopic } from '../actor/topic-frozen.ts'
import { TopicHomes } from '../actor/topic-homes.ts'
import type { TopicEncoder } from '../actor/topic-message.ts'
import { isForHome, isForRelay } from '../actor/topic-record.ts'
import { type Presence, type SubscribeOutcome, TopicRelay } from '../actor/topic-relay.ts'
import type { TopicSpanOptions } from '../actor/topic-span.ts'
import { encodeForTap, TAP_ENCODER, type TopicListener, TopicTap } from '../actor/topic-tap.ts'
import type { Bridge } from '../bridge/bridge.ts'
import { bridgeKindOf } from '../config/automatic.ts'
import type { CoreConfig } from '../config/core-options.ts'
import type { Clock } from '../lib/clock.ts'
import type { Connection } from '../net/connection.ts'
import type { EventLoop } from '../net/event-loop.ts'
import { DROP_REASONS, FAMILIES, OTHER, ofKinds } from '../observe/family.ts'
import type { Logger } from '../observe/logger.ts'
import type { Cell, ThreadMetrics } from '../observe/metrics.ts'
import type { TimerWheel } from '../timer/wheel.ts'

export interface ShardTopicsOptions {
  readonly self: number
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly loop: EventLoop
  readonly router: Router
  /** To another thread. */
  readonly toThread: ToThread
  readonly config: CoreConfig
  /** Which life of its thread this is, and of others: what a dead one left in a ring is told from its successor's. */
  readonly generation: number
  readonly generationOf: (thread: number) => number
  readonly definitions: readonly TopicDefinition[]
  readonly log: Logger
  readonly metrics: ThreadMetrics
  /** Undefined: there is none. */
  readonly bridge: Bridge | undefined
  readonly onEvent: (connection: Connection, event: TopicEvent) => void
}

export class ShardTopics {
  readonly #options: ShardTopicsOptions
  readonly #homes: TopicHomes
  readonly #relay: TopicRelay
  readonly #encoders = new Map<string, TopicEncoder>([[TAP_ENCODER, encodeForTap]])

  constructor(options: ShardTopicsOptions) {
    const { self, clock, wheel, loop, router, config, log, metrics } = options
    this.#options = options
    const definitions = new Map(options.definitions.map((definition) => [definition.kind, definition]))
    this.#homes = new TopicHomes({
      clock,
      wheel,
      definitions,
      recentBytes: config.topic.recentBytes,
      messageBytesMax: config.ring.messageMax,
      generationOf: options.generationOf,
      random: Math.random,
      log,
      span: spanOf(options),
      toThread: (thread, kind, head, headBytes, body, bodyStart, bodyBytes) => {
        if (thread !== self) return options.toThread(thread, kind, head, headBytes, body, bodyStart, bodyBytes)
        this.#relay.receive(kind, self, joined(head, headBytes, body, bodyStart, bodyBytes))
        return true
      },
    })
    this.#relay = new TopicRelay({
      clock,
      wheel,
      definitions,
      route: (slot, kind, head, headBytes, body, bodyStart, bodyBytes) =>
        router.route(slot, kind, head, headBytes, body, bodyStart, bodyBytes),
      isUnheard: (slot, topic, definition) => router.isHome(slot) && this.#homes.isUnheard(topic, definition),
      generation: options.generation,
      slowBytes: config.topic.slowBytes,
      queueMax: config.topic.queue,
      messageBytesMax: config.ring.messageMax,
      encoders: this.#encoders,
      counts: countsByKind(metrics, [...definitions.keys()]),
      onEvent: (connection, event) => {
        if (connection instanceof TopicTap) connection.hear(event)
        else options.onEvent(connection as unknown as Connection, event)
      },
      random: Math.random,
      log,
      // What a turn of the rings brought leaves in one write per connection.
      defer: (callback) =>
        queueMicrotask(() => {
          loop.enterTurn()
          callback()
          loop.leaveTurn()
        }),
    })
  }

  /** What services make of payloads, by the names that their subscriptions use. */
  addEncoders(encoders: Readonly<Record<string, TopicEncoder>>): void {
    for (const [name, encoder] of Object.entries(encoders)) this.#encoders.set(name, encoder)
  }

  subscribe(connection: Connection, topic: string, options?: SubscribeOptions): SubscribeOutcome {
    return this.#relay.subscribe(connection, topic, options)
  }

  unsubscribe(connection: Connection, topic: string): boolean {
    return this.#relay.unsubscribe(connection, topic)
  }

  /** The shard itself hears the topic, as long as it lives. */
  tap(topic: string, listener: TopicListener): TopicTap {
    return new TopicTap(this.#relay, topic, listener)
  }

  publish(topic: string, message: unknown): boolean {
    return this.#relay.publish(topic, message)
  }

  presence(topic: string): Promise<Presence> {
    const { clock, config } = this.#options
    return this.#relay.presence(topic, clock.nowMs() + config.actor.askTimeout)
  }

  /** A routed record of this shard's slots. False: it is none of topics. */
  deliver(kind: number, source: number, record: Buffer): boolean {
    if (!isForHome(kind)) return false
    this.#homes.receive(kind, record.readUInt16LE(0), source, record)
    return true
  }

  /** A record to this thread. */
  receive(kind: number, source: number, record: Buffer): boolean {
    if (!isForRelay(kind)) return false
    this.#relay.receive(kind, source, record)
    return true
  }

  closed(connection: Connection): void {
    this.#relay.closed(connection)
  }

  freeze(connection: Connection): readonly FrozenSubscription[] {
    return this.#relay.freeze(connection)
  }

  thaw(connection: Connection, frozen: readonly FrozenSubscription[]): void {
    this.#relay.thaw(connection, frozen)
  }

  /** The slots have another owner. */
  leave(slots: Iterable<number>): FrozenTopic[] {
    const frozen: FrozenTopic[] = []
    for (const slot of slots) frozen.push(...this.#homes.freezeSlot(slot))
    return frozen
  }

  arrived(frozen: readonly FrozenTopic[]): void {
    this.#homes.thaw(frozen)
  }

  threadDown(thread: number): void {
    this.#homes.threadDown(thread)
    this.#relay.threadDown(thread)
  }
}

/** What topics that span hosts need; undefined: there is but one host. */
function spanOf({ bridge, config, metrics }: ShardTopicsOptions): TopicSpanOptions | undefined {
  if (bridge === undefined || bridgeKindOf(config.bridge) === 'local') return undefined
  const hasStore = config.store.kind === 'redis'
  return {
    bridge,
    spans: ({ scope }) => scope === 'cluster' || (scope === 'store' && hasStore),
    unpublished: metrics.counter(FAMILIES.topicUnpublished).cell({}),
  }
}

function joined(head: Uint8Array, headBytes: number, body: Uint8Array | undefined, start = 0, bytes?: number): Buffer {
  const bodyBytes = body === undefined ? 0 : (bytes ?? body.byteLength - start)
  const record = Buffer.allocUnsafe(headBytes + bodyBytes)
  record.set(head.subarray(0, headBytes))
  if (body !== undefined) record.set(body.subarray(start, start + bodyBytes), headBytes)
  return record
}

function countsByKind(metrics: ThreadMetrics, kinds: readonly string[]): (kind: string) => TopicCounts {
  const published = metrics.counter(ofKinds(FAMILIES.topicPublished, kinds))
  const delivered = metrics.counter(ofKinds(FAMILIES.topicDelivered, kinds))
  const dropped = metrics.counter(ofKinds(FAMILIES.topicDropped, kinds))
  const inFlight = metrics.gauge(ofKinds(FAMILIES.topicInFlight, kinds))
  const known = new Map<string, TopicCounts>()
  return (name) => {
    const kind = kinds.includes(name) ? name : OTHER
    let counts = known.get(kind)
    if (counts === undefined) {
      const cells = Object.fromEntries(DROP_REASONS.map((reason) => [reason, dropped.cell({ kind, reason })]))
      counts = {
        published: published.cell({ kind }),
        delivered: delivered.cell({ kind }),
        inFlight: inFlight.cell({ kind }),
        dropped: cells as Record<(typeof DROP_REASONS)[number], Cell>,
      }
      known.set(kind, counts)
    }
    return counts
  }
}
