// The bridge's thread: channels, keys and logs of the host have their one home here, in memory or on a Redis server. Knows
// nothing of what travels through it.
import type { MessagePort } from 'node:worker_threads'
import type { BridgeEngine, BridgeEvents } from '../bridge/bridge-engine.ts'
import { BRIDGE_LIMITS, BridgeHost } from '../bridge/bridge-host.ts'
import { LocalEngine } from '../bridge/local-engine.ts'
import { RedisEngine } from '../bridge/redis-engine.ts'
import { type DiskOptions, REDIS_LIMITS, type RedisLimits } from '../bridge/redis-options.ts'
import { bridgeKindOf } from '../config/automatic.ts'
import type { CoreConfig } from '../config/core-options.ts'
import { assert } from '../lib/assert.ts'
import { parseRedisAddress } from '../lib/redis-address.ts'
import { FAMILIES } from '../observe/family.ts'
import type { ThreadMetrics } from '../observe/metrics.ts'
import { createNodeWheel } from '../timer/node-wheel.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { CallThread } from './call-thread.ts'
import { recordBytesMaxOf } from './limits.ts'
import type { CallControl, ThreadData } from './thread-data.ts'

/** Share of the longest record that payloads of one answer may fill: names, offsets and heads need the rest. */
const READ_SHARE = 7 / 8
const MS_PER_SECOND = 1_000

export class BridgeThread implements CallControl {
  readonly #thread: CallThread
  readonly #wheel: TimerWheel
  readonly #host: BridgeHost

  constructor(data: ThreadData, port: MessagePort) {
    this.#thread = new CallThread(data, port, () => this.#host)
    const { base } = this.#thread
    const { mesh, metrics, log, clock } = base
    const { bridge } = data.config
    this.#wheel = createNodeWheel(clock)
    const dropped = metrics.counter(FAMILIES.bridgeDropped)
    const messages = metrics.counter(FAMILIES.bridgeMessages)
    this.#host = new BridgeHost({
      engine: (events) => this.#createEngine(events),
      send: (thread, kind, head, headBytes, body, bodyStart, bodyBytes) =>
        mesh.send(thread, 'data', kind, head, headBytes, body, bodyStart, bodyBytes),
      cells: {
        messagesIn: messages.cell({ direction: 'in' }),
        messagesOut: messages.cell({ direction: 'out' }),
        droppedRingFull: dropped.cell({ reason: 'ring_full' }),
        droppedTooLarge: dropped.cell({ reason: 'too_large' }),
        gaps: metrics.counter(FAMILIES.bridgeGaps).cell({}),
      },
      clock,
      wheel: this.#wheel,
      log,
      limits: { ...BRIDGE_LIMITS, callsMax: bridge.queue, answerBytesMax: recordBytesMaxOf(data.config) },
      life: data.generation,
      onState: (isUp, problem) => base.tell({ kind: 'bridge', isUp, problem }),
    })
    this.#show(metrics)
    base.onNotice = (notice) => {
      if (notice.kind === 'down') this.#host.threadDown(notice.thread)
    }
  }

  /** Does not wait for the server: until it is there, calls fail at once and channels wait. */
  start(): void {
    this.#thread.base.open()
  }

  close(): Promise<void> {
    return this.#thread.close()
  }

  collect(): ReturnType<CallControl['collect']> {
    return this.#thread.collect()
  }

  #show(metrics: ThreadMetrics): void {
    const figures = (): BridgeHost['figures'] => this.#host.figures
    metrics.gauge(FAMILIES.bridgeUp).read({}, () => (figures().isUp ? 1 : 0))
    metrics.gauge(FAMILIES.bridgeRoundTrip).read({}, () => figures().roundTripMs / MS_PER_SECOND)
    metrics.counter(FAMILIES.bridgeReconnects).read({}, () => figures().reconnects)
    metrics.gauge(FAMILIES.bridgeOutbox).read({}, () => figures().outboxBytes)
    metrics.gauge(FAMILIES.bridgeSubscriptions).read({}, () => figures().subscriptions)
  }

  #createEngine(events: BridgeEvents): BridgeEngine {
    const { data, clock, log } = this.#thread.base
    const { bridge, ring } = data.config
    const readBytesMax = Math.floor(ring.messageMax * READ_SHARE)
    if (bridgeKindOf(bridge) === 'local') {
      return new LocalEngine({ clock, wheel: this.#wheel, memoryBytesMax: bridge.local.memory, readBytesMax }, events)
    }
    const address = parseRedisAddress(bridge.redis.url ?? '')
    assert(typeof address !== 'string', 'the configuration is checked')
    const limits = { ...limitsOf(bridge), readBytesMax }
    const keepsStore = data.config.store.kind === 'redis'
    const disk = keepsStore ? diskOf(data.config.store) : undefined
    const common = { clock, wheel: this.#wheel, log, random: Math.random }
    return new RedisEngine({ ...common, address, limits, keepsStore, disk }, events)
  }
}

function limitsOf({ queue, outboxBytes, redis }: CoreConfig['bridge']): RedisLimits {
  return {
    ...REDIS_LIMITS,
    connectTimeoutMs: redis.connectTimeout,
    pingTimeoutMs: redis.pingTimeout,
    backoffMinMs: redis.backoff.min,
    backoffMaxMs: redis.backoff.max,
    outboxCallsMax: queue,
    outboxBytesMax: outboxBytes,
  }
}

function diskOf({ redis, timeout }: CoreConfig['store']): DiskOptions | undefined {
  return redis.ack === 'disk' ? { replicas: redis.replicas, timeoutMs: timeout } : undefined
}
