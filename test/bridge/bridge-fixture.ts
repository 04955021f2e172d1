// Bridges for tests, and what hears their channels.
import assert from 'node:assert/strict'
import type { Bridge, ChannelListener, ChannelPosition, ChannelSubscription } from '../../src/bridge/bridge.ts'
import {
  type BridgeCall,
  type BridgeEngine,
  type EngineFactory,
  errorOfFailure,
} from '../../src/bridge/bridge-engine.ts'
import { OPERATIONS } from '../../src/bridge/bridge-record.ts'
import { LocalEngine } from '../../src/bridge/local-engine.ts'
import { RedisEngine } from '../../src/bridge/redis-engine.ts'
import { REDIS_LIMITS, type RedisLimits } from '../../src/bridge/redis-options.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { type ErrorCode, PolyloopError } from '../../src/lib/errors.ts'
import { parseRedisAddress, type RedisAddress } from '../../src/lib/redis-address.ts'
import { createNodeWheel } from '../../src/timer/node-wheel.ts'
import type { TimerWheel } from '../../src/timer/wheel.ts'
import { waitUntil } from '../harness/wait.ts'
import { SILENT } from './bridge-loop.ts'

export const bytes = (text: string): Buffer => Buffer.from(text)

/** Faults are found soon, and pauses are short. */
export const QUICK: RedisLimits = {
  ...REDIS_LIMITS,
  connectTimeoutMs: 1_000,
  pingMs: 100,
  pingTimeoutMs: 1_000,
  backoffMinMs: 10,
  backoffMaxMs: 100,
  clusterRefreshMs: 500,
}

/** The default of `bridge.local.memory`. */
const LOCAL_MEMORY_BYTES_MAX = 256 * 1024 * 1024

export function addressOf(url: string): RedisAddress {
  const address = parseRedisAddress(url)
  if (typeof address === 'string') throw new Error(address)
  return address
}

export function localFactory(wheel: TimerWheel): EngineFactory {
  const { readBytesMax } = REDIS_LIMITS
  return (events) =>
    new LocalEngine({ clock: systemClock, wheel, memoryBytesMax: LOCAL_MEMORY_BYTES_MAX, readBytesMax }, events)
}

export function redisFactory(url: string, wheel: TimerWheel, limits: RedisLimits = QUICK): EngineFactory {
  const address = addressOf(url)
  return (events) =>
    new RedisEngine({ address, limits, clock: systemClock, wheel, log: SILENT, random: Math.random }, events)
}

/** An engine whose channels each have one listener. */
export class DirectBridge implements AsyncDisposable {
  readonly bridge: Bridge
  readonly engine: BridgeEngine
  readonly states: [boolean, string][] = []
  readonly wheel = createNodeWheel(systemClock)
  readonly #listeners = new Map<string, ChannelListener>()

  constructor(factoryOf: (wheel: TimerWheel) => EngineFactory) {
    this.engine = factoryOf(this.wheel)({
      onMessage: (channel, payload) => this.#listeners.get(channel)?.message(payload, { life: 1, sequence: 0 }),
      onGap: (channels) => {
        for (const channel of channels) this.#listeners.get(channel)?.gap()
      },
      onState: (isUp, problem) => this.states.push([isUp, problem]),
    })
    const methods = OPERATIONS.map((operation) => [
      operation,
      async (argument: unknown) => {
        const outcome = await this.engine.run({ operation, argument } as BridgeCall)
        if (outcome.ok) return outcome.value
        throw errorOfFailure(outcome, operation)
      },
    ])
    const subscribe: Bridge['subscribe'] = (channel, listener) => this.#subscribe(channel, listener)
    this.bridge = { ...Object.fromEntries(methods), subscribe } as Bridge
  }

  async up(): Promise<this> {
    await waitUntil('the bridge is up', () => this.engine.figures.isUp)
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close()
    this.wheel.close()
  }

  #subscribe(channel: string, listener: ChannelListener): ChannelSubscription {
    assert.ok(!this.#listeners.has(channel), 'a test of the engine listens once to each channel')
    this.#listeners.set(channel, listener)
    const confirmed = this.engine.subscribe(channel).catch((error: unknown) => {
      this.#listeners.delete(channel)
      throw error
    })
    return {
      confirmed,
      position: undefined,
      end: () => {
        this.#listeners.delete(channel)
        this.engine.unsubscribe(channel)
      },
    }
  }
}

/** Writes down what it hears: texts, and `gap`. */
export class Ear implements ChannelListener {
  readonly heard: string[] = []
  readonly positions: ChannelPosition[] = []

  message(payload: Buffer, position: ChannelPosition): void {
    this.heard.push(payload.toString())
    this.positions.push(position)
  }

  gap(): void {
    this.heard.push(GAP)
  }

  forget(isForgotten: (text: string) => boolean): void {
    const kept = this.heard.filter((text) => !isForgotten(text))
    this.heard.splice(0, this.heard.length, ...kept)
    this.positions.length = 0
  }

  /** Waits until it has heard this. */
  async hears(text: string, deadlineMs?: number): Promise<void> {
    await waitUntil(`it hears ${text}, not only ${this.heard.slice(-3)}`, () => this.heard.includes(text), deadlineMs)
  }
}

export const GAP = '(gap)'

/** That a call ends with an error of this code; answers its details. */
export async function fails(answer: Promise<unknown>, code: ErrorCode): Promise<Readonly<Record<string, unknown>>> {
  const error: unknown = await answer.then(
    (value) => assert.fail(`it was answered ${String(value)}`),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof PolyloopError, String(error))
  assert.equal(error.code, code, error.message)
  return error.details
}
