// Which sessions the connections of a shard belong to, so that a session hears when one of its connections ends.
import type { Activation } from '../actor/activation.ts'
import type { ActorSender } from '../actor/actor-ref.ts'
import { type Address, addressOf } from '../actor/address.ts'
import { SESSION_METHOD, Session } from '../actor/session.ts'
import type { Connection } from '../net/connection.ts'
import type { ConnectionPost } from './connection-post.ts'

/** A session as it travels with a connection. */
export interface AttachedSession {
  readonly kind: string
  readonly id: string
}

/** Sessions of one connection; one more is refused. */
const SESSIONS_MAX = 8

export class SessionBook {
  readonly #post: ConnectionPost
  readonly #sender: ActorSender
  readonly #byConnection = new Map<number, Address[]>()

  constructor(post: ConnectionPost, sender: ActorSender) {
    this.#post = post
    this.#sender = sender
  }

  /** False: the connection has ended, or too many sessions, or the way to the session is full. */
  attach(connection: Connection, kind: string, id: string): boolean {
    const own = this.#byConnection.get(connection.id) ?? []
    if (!connection.open || own.length >= SESSIONS_MAX) return false
    const address = addressOf(kind, id)
    if (!this.#sender.tell(address, SESSION_METHOD.attach, this.#post.refOf(connection))) return false
    own.push(address)
    this.#byConnection.set(connection.id, own)
    return true
  }

  closed(connection: Connection): void {
    const own = this.#byConnection.get(connection.id)
    if (own === undefined) return
    this.#byConnection.delete(connection.id)
    const ref = this.#post.refOf(connection)
    for (const address of own) this.#sender.tell(address, SESSION_METHOD.detach, ref)
  }

  freeze(connection: Connection): readonly AttachedSession[] {
    const own = this.#byConnection.get(connection.id)
    this.#byConnection.delete(connection.id)
    return own === undefined ? [] : own.map(({ kind, id }) => ({ kind, id }))
  }

  thaw(connection: Connection, sessions: readonly AttachedSession[]): void {
    if (sessions.length === 0) return
    const addresses = sessions.map(({ kind, id }) => addressOf(kind, id))
    this.#byConnection.set(connection.id, addresses)
    // Should this shard crash the session must know that the connection was here.
    for (const address of addresses) this.#sender.tell(address, SESSION_METHOD.attach, this.#post.refOf(connection))
  }

  /** A shard has crashed: sessions that live here lose the connections they had there. */
  crashed(seat: number, activations: Iterable<Activation>): void {
    for (const { state, address } of [...activations]) {
      if (!(state instanceof Session)) continue
      for (const connection of state.connections) {
        if (connection.shard === seat) this.#sender.tell(address, SESSION_METHOD.detach, connection)
      }
    }
  }
}
