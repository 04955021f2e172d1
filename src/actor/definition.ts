// What an actor is, as its author writes it: a kind, how its state begins, and a handler per message. Types only know
// handlers; nothing here runs one.
import { parseDuration } from '../lib/units.ts'
import type { ActorContext } from './context.ts'

/** `on.join(state, argument, context)`: one message at a time; the result, or what it resolves to, answers an ask. */
export type Handler<State> = (state: State, argument: never, context: ActorContext) => unknown
export type Handlers<State> = Readonly<Record<string, Handler<State>>>

/** The second parameter of a handler as the arguments of `tell` and `ask`: none, an optional one, or one. */
export type ArgumentsOf<H> = H extends (state: never, ...rest: infer Rest) => unknown
  ? Rest extends readonly [infer Argument, ...unknown[]]
    ? unknown extends Argument
      ? [argument?: unknown]
      : undefined extends Argument
        ? [argument?: Argument]
        : [argument: Argument]
    : Rest extends readonly [(infer Optional)?, ...unknown[]]
      ? [argument?: Optional]
      : []
  : never

export type ResultOf<H> = H extends (...all: never) => infer Result ? Awaited<Result> : never

export interface ActorDefinition<State = unknown, H extends Handlers<State> = Handlers<State>> {
  readonly type: 'actor'
  readonly kind: string
  create(id: string, context: ActorContext): State | Promise<State>
  readonly on: H
  /** Undefined: `actor.idleAfter`. 0: never. */
  readonly idleAfterMs: number | undefined
  freeze?(state: State): unknown
  thaw?(frozen: never, id: string): State
  passivated?(state: State, context: ActorContext): void | Promise<void>
}

const KIND = /^[a-z][a-z0-9-]{0,62}$/

/**
 * Defines a kind of actor. Put it in a module of its own and name that module in `modules` (configuration, or
 * `createRuntime`): every shard imports it. Throws a TypeError on a kind that is not kebab-case, a handler that is not a
 * function, or a duration that cannot be read.
 */
export function defineActor<State, const H extends Handlers<State>>(definition: {
  /** Kebab-case, at most 63 characters; unique in the process. */
  readonly kind: string
  /** The state of a new actor. May be async, to load it from somewhere; a failure fails the message that woke it. */
  create(id: string, context: ActorContext): State | Promise<State>
  readonly on: H & Handlers<State>
  /**
   * Without a message or a timer for so long the actor is passivated and its state forgotten: a duration, or
   * milliseconds. Default `actor.idleAfter`; 0: never.
   */
  readonly idleAfter?: string | number
  /** For a state that is not structured-cloneable: what travels when the actor moves to another shard, and back. */
  freeze?(state: State): unknown
  thaw?(frozen: never, id: string): State
  /** The actor is about to be passivated: the place to save its state. */
  passivated?(state: State, context: ActorContext): void | Promise<void>
}): ActorDefinition<State, H> {
  const { kind, idleAfter, on } = definition
  if (!KIND.test(kind)) throw new TypeError(`actor kind ${kind} is not kebab-case of at most 63 characters`)
  for (const [method, handler] of Object.entries(on)) {
    if (typeof handler !== 'function') throw new TypeError(`actor ${kind}: handler ${method} is not a function`)
  }
  const idleAfterMs = idleAfter === undefined ? undefined : durationMs(idleAfter)
  if (idleAfter !== undefined && idleAfterMs === undefined)
    throw new TypeError(`actor ${kind}: idleAfter ${idleAfter} is no duration`)
  return { ...definition, type: 'actor', idleAfterMs }
}

/** A duration as definitions have it: text, or milliseconds. Undefined: it is none. */
export function durationMs(value: string | number): number | undefined {
  if (typeof value === 'string') return parseDuration(value)
  return Number.isFinite(value) && value >= 0 ? value : undefined
}

/** Whether a module's export is an actor definition. */
export function isActor(value: unknown): value is ActorDefinition {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'actor' && 'on' in value
}

/**
 * What a handler throws to say no: the ask fails with ACTOR_REFUSED and these details, and the actor goes on. Anything
 * else that is thrown is a failure, and restarts it.
 */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly details: Readonly<Record<string, unknown>>

  constructor(reason: string, details: Readonly<Record<string, unknown>> = {}) {
    super(reason)
    this.details = details
  }
}
