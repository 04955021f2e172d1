// Sessions: actors that own connections, several at a time or none for a while. What is said to a session reaches all
// its connections; what is said while it has none waits, within bounds, for the next one.
import { assert } from '../lib/assert.ts'
import type { ConnectionRef } from '../net/connection-ref.ts'
import type { ActorContext } from './context.ts'
import { type ActorDefinition, defineActor, durationMs, type Handler, type Handlers } from './definition.ts'

/** Handlers of every session; users' names cannot begin with a dollar. */
export const SESSION_METHOD = { attach: '$attach', detach: '$detach', expire: '$expire' } as const

const RESUME_MS = 120_000
const BACKLOG_COUNT = 100
/** Of what waits for a session without a connection. */
export const BACKLOG_BYTES_MAX = 256 * 1024
/** One more closes the oldest with 1008. */
export const CONNECTIONS_MAX = 32
const EXPIRY = '$expiry'

interface Waiting {
  readonly payload: Uint8Array | string
  readonly isBinary: boolean
}

interface FrozenSession {
  readonly state: unknown
  readonly connections: readonly ConnectionRef[]
  readonly backlog: readonly Waiting[]
  readonly dropped: number
}

/** The first parameter of a session's handlers. */
export class Session<State> {
  state: State
  /** Messages that waited for a connection and were dropped, oldest first, because there were too many. */
  dropped = 0
  #connections: ConnectionRef[] = []
  #backlog: Waiting[] = []
  #backlogBytes = 0
  #context: ActorContext | undefined
  readonly #backlogMax: number

  constructor(state: State, backlogMax: number) {
    this.state = state
    this.#backlogMax = backlogMax
  }

  /** Its open connections, oldest first. */
  get connections(): readonly ConnectionRef[] {
    return this.#connections
  }

  /** To all its connections; without one it waits for the next. */
  send(payload: Uint8Array | string, isBinary = typeof payload !== 'string'): void {
    if (this.#connections.length === 0) this.#keep({ payload, isBinary })
    else for (const connection of this.#connections) this.#use().send(connection, payload, isBinary)
  }

  /** Closes all its connections. */
  close(code?: number, reason?: string): void {
    for (const connection of this.#connections) this.#use().close(connection, code, reason)
  }

  /** The runtime's: what the session sends with, for the call at hand. */
  bind(context: ActorContext): this {
    this.#context = context
    return this
  }

  /** The runtime's. Also when a connection has moved: its new name replaces the old one. True if it is a new one. */
  attach(connection: ConnectionRef): boolean {
    const known = this.#connections.findIndex(({ id }) => id === connection.id)
    if (known >= 0) {
      this.#connections[known] = connection
      return false
    }
    if (this.#connections.length >= CONNECTIONS_MAX) {
      const oldest = this.#connections.shift()
      if (oldest !== undefined) this.#use().close(oldest, 1008, 'too many connections')
    }
    this.#connections.push(connection)
    const backlog = this.#backlog
    this.#backlog = []
    this.#backlogBytes = 0
    for (const { payload, isBinary } of backlog) this.#use().send(connection, payload, isBinary)
    return true
  }

  /** The runtime's. */
  detach(id: number): void {
    this.#connections = this.#connections.filter((connection) => connection.id !== id)
  }

  freeze(): FrozenSession {
    return { state: this.state, connections: this.#connections, backlog: this.#backlog, dropped: this.dropped }
  }

  thaw({ connections, backlog, dropped }: FrozenSession): this {
    this.#connections = [...connections]
    for (const waiting of backlog) this.#keep(waiting)
    this.dropped = dropped
    return this
  }

  #keep(waiting: Waiting): void {
    this.#backlog.push(waiting)
    this.#backlogBytes += waiting.payload.length
    while (this.#backlog.length > this.#backlogMax || this.#backlogBytes > BACKLOG_BYTES_MAX) {
      this.#backlogBytes -= this.#backlog.shift()?.payload.length ?? 0
      this.dropped++
    }
  }

  #use(): ActorContext {
    assert(this.#context !== undefined, 'a session sends only in its handlers')
    return this.#context
  }
}

export type SessionDefinition<State, H extends Handlers<Session<State>> = Handlers<Session<State>>> = ActorDefinition<
  Session<State>,
  H
>

/**
 * Defines a kind of session. A service attaches connections to one (`context.attach`); anybody can tell it something.
 * Connections detach when they close; without one the session lives on for `resumeFor`, and what it sends meanwhile
 * waits for the next one. As with actors, put it in a module of `modules`.
 */
export function defineSession<State, const H extends Handlers<Session<State>>>(definition: {
  /** Kebab-case, at most 63 characters; unique in the process, among actors too. */
  readonly kind: string
  create(id: string, context: ActorContext): State | Promise<State>
  readonly on: H & Handlers<Session<State>>
  /** How long it lives without a connection: a duration, or milliseconds. Default 2m. */
  readonly resumeFor?: string | number
  /** Messages that wait while it has no connection; beyond them, or BACKLOG_BYTES_MAX, the oldest are dropped. Default 100. */
  readonly backlog?: number
  /** A connection came, or went. */
  connected?(session: Session<State>, connection: ConnectionRef, context: ActorContext): void | Promise<void>
  disconnected?(session: Session<State>, connection: ConnectionRef, context: ActorContext): void | Promise<void>
  /** It ends: the last chance to save its state. */
  ended?(session: Session<State>, context: ActorContext): void | Promise<void>
  /** As of an actor, for the state. */
  freeze?(state: State): unknown
  thaw?(frozen: never, id: string): State
}): ActorDefinition<Session<State>, H> {
  const { kind, on, create, connected, disconnected, ended, freeze, thaw, backlog = BACKLOG_COUNT } = definition
  const resumeMs = definition.resumeFor === undefined ? RESUME_MS : durationMs(definition.resumeFor)
  if (resumeMs === undefined) throw new TypeError(`session ${kind}: resumeFor ${definition.resumeFor} is no duration`)
  if (!(Number.isInteger(backlog) && backlog >= 0))
    throw new TypeError(`session ${kind}: backlog ${backlog} is no count`)
  const expireLater = (context: ActorContext): void => context.after(EXPIRY, resumeMs, SESSION_METHOD.expire)
  const handlers: Record<string, Handler<Session<State>>> = {}
  for (const [method, handler] of Object.entries(on)) {
    if (method.startsWith('$')) throw new TypeError(`session ${kind}: the name ${method} is reserved`)
    if (typeof handler !== 'function') throw new TypeError(`session ${kind}: handler ${method} is not a function`)
    handlers[method] = (session, argument, context) => handler(session.bind(context), argument, context)
  }
  handlers[SESSION_METHOD.attach] = (session, connection: ConnectionRef, context) => {
    context.cancel(EXPIRY)
    const isNew = session.bind(context).attach(connection)
    return isNew ? connected?.(session, connection, context) : undefined
  }
  handlers[SESSION_METHOD.detach] = (session, connection: ConnectionRef, context) => {
    session.bind(context).detach(connection.id)
    if (session.connections.length === 0) expireLater(context)
    return disconnected?.(session, connection, context)
  }
  handlers[SESSION_METHOD.expire] = (session, _none: undefined, context) => {
    if (session.connections.length === 0) context.stop()
  }
  const wrapped = defineActor<Session<State>, Record<string, Handler<Session<State>>>>({
    kind,
    on: handlers,
    // It ends by its own timer.
    idleAfter: 0,
    create(id, context) {
      expireLater(context)
      const state = create(id, context)
      if (state instanceof Promise) return state.then((later) => new Session(later, backlog))
      return new Session(state as State, backlog)
    },
    freeze(session) {
      const frozen = session.freeze()
      return freeze === undefined ? frozen : { ...frozen, state: freeze(session.state) }
    },
    thaw(frozen: FrozenSession, id) {
      const state = thaw === undefined ? (frozen.state as State) : thaw(frozen.state as never, id)
      return new Session(state, backlog).thaw(frozen)
    },
    passivated: (session, context) => ended?.(session.bind(context), context),
  })
  return wrapped as unknown as ActorDefinition<Session<State>, H>
}
