// What a handler may do beside changing its state: the third parameter of every handler. One per active actor; what is
// of the message at hand is only right until the handler's result is there.

import type { Bridge } from '../bridge/bridge.ts'
import type { Clock } from '../lib/clock.ts'
import { parseDuration } from '../lib/units.ts'
import type { ConnectionRef } from '../net/connection-ref.ts'
import type { Logger } from '../observe/logger.ts'
import type { Store } from '../store/store.ts'
import type { Activation } from './activation.ts'
import { type ActorRef, type ActorSender, refTo } from './actor-ref.ts'
import type { ActorDefinition, Handlers } from './definition.ts'
import type { Runner } from './runner.ts'
import { forgetState, loadState, saveState } from './saved-state.ts'

/** What an actor's shard does for it. */
export interface ActorServices {
  readonly clock: Clock
  readonly log: Logger
  /** Sends to a connection on any shard. False: it is gone as far as is known here, or the way there is full. */
  send(connection: ConnectionRef, payload: Uint8Array | string, isBinary?: boolean): boolean
  close(connection: ConnectionRef, code?: number, reason?: string): boolean
  /** Publishes to a topic `kind.id`. False: refused, the way there is full. */
  publish(topic: string, message: unknown): boolean
  /** Runs the exported function `task` of `module` in the pool for CPU-bound work. */
  offload(module: string | URL, task: string, argument: unknown): Promise<unknown>
  /** Durable storage of the whole process. Every call fails with STORE_ABSENT where there is none: in main. */
  readonly store: Store
  /**
   * What hosts share; an actor calls it and does not subscribe, because it moves and its listeners would stay behind: that
   * is for a service, which tells the actor. Every call fails with BRIDGE_ABSENT where there is none.
   */
  readonly bridge: BridgeCalls
}

export type BridgeCalls = Omit<Bridge, 'subscribe'>

export interface ActorContext extends ActorServices {
  readonly kind: string
  readonly id: string
  /** When the asker stops waiting, on `clock.nowMs()`; undefined for a tell. */
  readonly deadlineMs: number | undefined
  actor<State, H extends Handlers<State>>(definition: ActorDefinition<State, H>, id: string): ActorRef<H>
  /**
   * Sends `method` to this actor after `delay` (milliseconds or a duration), once, or with `every` again and again. A
   * timer of the same name is replaced. Timers keep the actor active and move along with it; a failure ends them.
   */
  after(name: string, delay: number | string, method: string, argument?: unknown): void
  every(name: string, period: number | string, method: string, argument?: unknown): void
  /** True if there was one. */
  cancel(name: string): boolean
  /**
   * For a result that takes its time: a handler that is not `async` and returns `context.interleave(promise)` lets the
   * actor go on with its next messages meanwhile; the ask is answered with what the promise resolves to. What runs behind
   * it finds the state as later handlers left it, and nothing of the message at hand in the context. A rejection fails
   * the ask and is logged, and the actor goes on. An actor is not passivated and does not move while one is open.
   */
  interleave<T>(result: Promise<T>): Promise<T>
  /**
   * Keeps a value as the actor's own, on disk when the promise resolves; the value before is replaced. Saves of one actor
   * are done in their order, also when it moves. Values as in messages, at most STATE_BYTES_MAX packed. Rejects with
   * VALUE_INVALID or MESSAGE_TOO_LARGE, or as the store does (`StoreOperations`).
   */
  save(value: unknown): Promise<void>
  /** What was saved last; undefined: nothing. The place for it is an async `create`. */
  load<T>(): Promise<T | undefined>
  /** Removes what was saved. */
  forget(): Promise<void>
  /** Passivates the actor after this message; its next message creates it anew. */
  stop(): void
}

class BoundContext implements ActorContext {
  readonly #activation: Activation
  readonly #sender: ActorSender
  readonly #runner: Runner
  readonly #services: ActorServices

  constructor(activation: Activation, sender: ActorSender, runner: Runner, services: ActorServices) {
    this.#activation = activation
    this.#sender = sender
    this.#runner = runner
    this.#services = services
  }

  get kind(): string {
    return this.#activation.address.kind
  }

  get id(): string {
    return this.#activation.address.id
  }

  get clock(): Clock {
    return this.#services.clock
  }

  get log(): Logger {
    return this.#services.log
  }

  get deadlineMs(): number | undefined {
    return this.#activation.current?.deadlineMs || undefined
  }

  actor<State, H extends Handlers<State>>(definition: ActorDefinition<State, H>, id: string): ActorRef<H> {
    return refTo(this.#sender, definition, id, this.#activation)
  }

  send(connection: ConnectionRef, payload: Uint8Array | string, isBinary?: boolean): boolean {
    return this.#services.send(connection, payload, isBinary)
  }

  close(connection: ConnectionRef, code?: number, reason?: string): boolean {
    return this.#services.close(connection, code, reason)
  }

  publish(topic: string, message: unknown): boolean {
    return this.#services.publish(topic, message)
  }

  offload(module: string | URL, task: string, argument: unknown): Promise<unknown> {
    return this.#services.offload(module, task, argument)
  }

  get store(): Store {
    return this.#services.store
  }

  get bridge(): BridgeCalls {
    return this.#services.bridge
  }

  save(value: unknown): Promise<void> {
    return saveState(this.#services.store, this.#activation.address, value)
  }

  load<T>(): Promise<T | undefined> {
    return loadState(this.#services.store, this.#activation.address) as Promise<T | undefined>
  }

  forget(): Promise<void> {
    return forgetState(this.#services.store, this.#activation.address)
  }

  after(name: string, delay: number | string, method: string, argument?: unknown): void {
    this.#runner.setTimer(this.#activation, name, millisecondsOf(delay), 0, method, argument)
  }

  every(name: string, period: number | string, method: string, argument?: unknown): void {
    const periodMs = Math.max(1, millisecondsOf(period))
    this.#runner.setTimer(this.#activation, name, periodMs, periodMs, method, argument)
  }

  cancel(name: string): boolean {
    return this.#runner.cancelTimer(this.#activation, name)
  }

  interleave<T>(result: Promise<T>): Promise<T> {
    this.#activation.interleaving = result
    return result
  }

  stop(): void {
    this.#activation.stopping = true
  }
}

export function contextOf(
  activation: Activation,
  sender: ActorSender,
  runner: Runner,
  services: ActorServices,
): ActorContext {
  return new BoundContext(activation, sender, runner, services)
}

function millisecondsOf(duration: number | string): number {
  const ms = typeof duration === 'number' ? duration : parseDuration(duration)
  if (ms === undefined || !(ms >= 0)) throw new RangeError(`${duration} is no duration`)
  return ms
}
