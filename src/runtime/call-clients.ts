// The store and the bridge as a thread calls them that has neither: one client for each that there is.
import { ABSENT_BRIDGE } from '../bridge/absent-bridge.ts'
import type { Bridge } from '../bridge/bridge.ts'
import { BridgeClient } from '../bridge/bridge-client.ts'
import type { CoreConfig } from '../config/core-options.ts'
import type { Clock } from '../lib/clock.ts'
import { THREAD } from '../lib/thread.ts'
import type { HistogramCell } from '../observe/metrics.ts'
import type { SendRecordTo } from '../ring/call-record.ts'
import { ABSENT_STORE } from '../store/absent-store.ts'
import { RedisStore } from '../store/redis-store.ts'
import type { Store } from '../store/store.ts'
import { StoreClient } from '../store/store-client.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { recordBytesMaxOf } from './limits.ts'

export interface CallClientsOptions {
  readonly usesStore: boolean
  readonly usesBridge: boolean
  readonly config: CoreConfig
  /** Of the thread: its life. */
  readonly generation: number
  readonly clock: Clock
  readonly wheel: TimerWheel
  /** By way of the actors, so that what moves to another shard is held until its calls have arrived. */
  readonly toThread: SendRecordTo
  /** Gets what a listener of a channel threw. */
  readonly onError: (error: unknown) => void
  /** From a write to its answer, with a store that has no thread. Default: nobody looks. */
  readonly commitSeconds?: HistogramCell
}

export class CallClients {
  readonly #options: CallClientsOptions
  readonly #store: StoreClient | undefined
  readonly #bridge: BridgeClient | undefined
  readonly #shared: RedisStore | undefined

  constructor(options: CallClientsOptions) {
    this.#options = options
    const { config, generation, clock, wheel, toThread, onError } = options
    const common = { clock, wheel, generation, callBytesMax: recordBytesMaxOf(config) }
    const isShared = config.store.kind === 'redis'
    if (options.usesStore && !isShared) {
      this.#store = new StoreClient({
        ...common,
        send: (kind, head, headBytes, body, bodyStart, bodyBytes) =>
          toThread(THREAD.store, kind, head, headBytes, body, bodyStart, bodyBytes),
        timeoutMs: config.store.timeout,
        callsMax: config.store.calls,
      })
    }
    if (options.usesBridge) {
      this.#bridge = new BridgeClient({
        ...common,
        send: (kind, head, headBytes, body, bodyStart, bodyBytes) =>
          toThread(THREAD.bridge, kind, head, headBytes, body, bodyStart, bodyBytes),
        timeoutMs: config.bridge.timeout,
        callsMax: config.bridge.calls,
        onError,
      })
      if (options.usesStore && isShared) this.#shared = this.#sharedStore(this.#bridge)
    }
  }

  get store(): Store {
    return this.#shared ?? this.#store?.store ?? ABSENT_STORE
  }

  get bridge(): Bridge {
    return this.#bridge?.bridge ?? ABSENT_BRIDGE
  }

  /** Calls that wait for their answers, for at most so long. */
  get waiting(): number {
    return (this.#store?.waiting ?? 0) + (this.#bridge?.waiting ?? 0)
  }

  get waitMsMax(): number {
    const { store, bridge } = this.#options.config
    return Math.max(store.timeout, bridge.timeout)
  }

  #sharedStore({ bridge }: BridgeClient): RedisStore {
    const { clock, wheel, config, commitSeconds } = this.#options
    const { timeout, calls, redis } = config.store
    return new RedisStore({
      script: (call) => bridge.script(call),
      onDisk: redis.ack === 'disk',
      clock,
      wheel,
      timeoutMs: timeout,
      callsMax: calls,
      commitSeconds,
    })
  }

  /** A record of another thread. False: it is none of theirs. */
  receive(kind: number, record: Buffer): boolean {
    return this.#store?.receive(kind, record) === true || this.#bridge?.receive(kind, record) === true
  }

  threadDown(thread: number): void {
    if (thread === THREAD.store) this.#store?.storeDown()
    else if (thread === THREAD.bridge) this.#bridge?.bridgeDown()
  }
}

/** A thread that does calls for others: it has no slots, and nothing moves to or from it. */
export function isCalled(thread: number): boolean {
  return thread === THREAD.store || thread === THREAD.bridge
}
