// Redis for tools: the bridge's engine in this process, without threads. Opened once; what is asked of it afterwards fails
// with a PolyloopError, or is answered.
import type { BridgeOperation, BridgeOperations } from '../bridge/bridge.ts'
import {
  type ArgumentOf,
  type BridgeCall,
  type BridgeEngine,
  type CallOutcome,
  errorOfFailure,
  failed,
} from '../bridge/bridge-engine.ts'
import { RedisEngine } from '../bridge/redis-engine.ts'
import { REDIS_LIMITS } from '../bridge/redis-options.ts'
import { systemClock } from '../lib/clock.ts'
import type { RedisAddress } from '../lib/redis-address.ts'
import { createLogger } from '../observe/logger.ts'
import { createNodeWheel } from '../timer/node-wheel.ts'

/** How often an engine that is still connecting is looked at. */
const LOOK_MS = 10

export interface ToolBridgeOptions {
  readonly address: RedisAddress
  readonly signal: AbortSignal
  readonly connectTimeoutMs?: number
  /** For one call. */
  readonly answerTimeoutMs?: number
}

export interface ToolListener {
  message(payload: Buffer): void
  gap(): void
}

export class ToolBridge implements AsyncDisposable {
  readonly #engine: BridgeEngine
  readonly #answerTimeoutMs: number
  readonly #listeners: Map<string, ToolListener>

  private constructor(engine: BridgeEngine, answerTimeoutMs: number, listeners: Map<string, ToolListener>) {
    this.#engine = engine
    this.#answerTimeoutMs = answerTimeoutMs
    this.#listeners = listeners
  }

  /** Connected; or why not. */
  static async open(options: ToolBridgeOptions): Promise<ToolBridge | string> {
    const { address, signal, connectTimeoutMs = REDIS_LIMITS.connectTimeoutMs } = options
    const { answerTimeoutMs = REDIS_LIMITS.connectTimeoutMs } = options
    const listeners = new Map<string, ToolListener>()
    const engineOptions = {
      address,
      limits: { ...REDIS_LIMITS, connectTimeoutMs },
      clock: systemClock,
      wheel: createNodeWheel(systemClock),
      // A tool says in its own words what happens.
      log: createLogger({ level: 'silent', write: () => {}, base: { thread: 'tool' } }),
      random: Math.random,
    }
    const engine = new RedisEngine(engineOptions, {
      onMessage: (channel, payload) => listeners.get(channel)?.message(payload),
      onGap: (channels) => {
        for (const channel of channels) listeners.get(channel)?.gap()
      },
      onState: () => {},
    })
    const problem = await connected(engine, address, connectTimeoutMs, signal)
    if (problem === undefined) return new ToolBridge(engine, answerTimeoutMs, listeners)
    await engine.close()
    return problem
  }

  /** Rejects as the calls of a bridge do. */
  async call<Name extends BridgeOperation>(
    operation: Name,
    argument: ArgumentOf<Name>,
  ): Promise<ReturnType<BridgeOperations[Name]>> {
    // First: whoever measures does not want to wait for what follows.
    const answer = this.#engine.run({ operation, argument } as unknown as BridgeCall)
    const { promise: late, resolve } = Promise.withResolvers<CallOutcome>()
    const giveUp = (): void => resolve(failed('BRIDGE_TIMEOUT', `no answer within ${this.#answerTimeoutMs} ms`))
    const timer = setTimeout(giveUp, this.#answerTimeoutMs)
    const outcome = await Promise.race([answer, late])
    clearTimeout(timer)
    if (!outcome.ok) throw errorOfFailure(outcome, operation)
    return outcome.value as ReturnType<BridgeOperations[Name]>
  }

  /** Settles when nothing published from now on is missed. One listener per channel. */
  subscribe(channel: string, listener: ToolListener): Promise<void> {
    this.#listeners.set(channel, listener)
    return this.#engine.subscribe(channel)
  }

  unsubscribe(channel: string): void {
    if (this.#listeners.delete(channel)) this.#engine.unsubscribe(channel)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#engine.close()
  }
}

/** Undefined when it is. An engine tries for ever; a tool waits for one attempt, or for the next Sentinel or node. */
async function connected(
  engine: BridgeEngine,
  { kind, shown }: RedisAddress,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { problem: before } = engine.figures
  const untilMs = systemClock.nowMs() + timeoutMs
  for (;;) {
    const { isUp, problem } = engine.figures
    if (isUp) return undefined
    if (signal.aborted) return 'interrupted'
    if (systemClock.nowMs() >= untilMs || (kind === 'standalone' && problem !== before)) {
      return `no connection to ${shown}: ${problem}`
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}
