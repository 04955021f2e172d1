// A typed reference to an actor, wherever it lives: the arguments and results are those of its handlers.
import { parseDuration } from '../lib/units.ts'
import type { Activation } from './activation.ts'
import { type Address, addressOf } from './address.ts'
import type { ActorDefinition, ArgumentsOf, Handlers, ResultOf } from './definition.ts'

/** What a reference sends through. */
export interface ActorSender {
  tell(address: Address, method: string, argument: unknown): boolean
  /** `timeoutMs` undefined: `actor.askTimeout`. `asker`: the actor that asks, if one does. */
  ask(
    address: Address,
    method: string,
    argument: unknown,
    timeoutMs: number | undefined,
    asker: Activation | undefined,
  ): Promise<unknown>
}

export class ActorRef<H extends Handlers<never>> {
  readonly kind: string
  readonly id: string
  readonly #sender: ActorSender
  readonly #address: Address
  readonly #asker: Activation | undefined
  readonly #timeoutMs: number | undefined

  constructor(sender: ActorSender, address: Address, asker?: Activation, timeoutMs?: number) {
    this.kind = address.kind
    this.id = address.id
    this.#sender = sender
    this.#address = address
    this.#asker = asker
    this.#timeoutMs = timeoutMs
  }

  /**
   * Sends a message and waits for nothing. Messages from one thread to one actor arrive in order. False: it was refused
   * at once, because the way there is full. Throws VALUE_INVALID or MESSAGE_TOO_LARGE on an argument that cannot cross.
   */
  tell<M extends keyof H & string>(method: M, ...argument: ArgumentsOf<H[M]>): boolean {
    return this.#sender.tell(this.#address, method, argument[0])
  }

  /**
   * Sends a message and answers what its handler returns. Rejects with a PolyloopError: ASK_TIMEOUT after
   * `actor.askTimeout` (or `within`), ACTOR_REFUSED, ACTOR_HANDLER_FAILED, ACTOR_FAILED, ACTOR_CYCLE, MAILBOX_FULL,
   * RING_FULL and the others of `ERRORS`. In a handler the deadline of the message being handled applies too.
   */
  ask<M extends keyof H & string>(method: M, ...argument: ArgumentsOf<H[M]>): Promise<ResultOf<H[M]>> {
    return this.#sender.ask(this.#address, method, argument[0], this.#timeoutMs, this.#asker) as Promise<ResultOf<H[M]>>
  }

  /** The same actor with another deadline for `ask`: milliseconds, or a duration such as `2s`. */
  within(timeout: number | string): ActorRef<H> {
    const ms = typeof timeout === 'number' ? timeout : parseDuration(timeout)
    if (ms === undefined || !(ms > 0)) throw new RangeError(`${timeout} is no duration`)
    return new ActorRef(this.#sender, this.#address, this.#asker, ms)
  }
}

export function refTo<State, H extends Handlers<State>>(
  sender: ActorSender,
  definition: ActorDefinition<State, H>,
  id: string,
  asker?: Activation,
): ActorRef<H> {
  return new ActorRef<H>(sender, addressOf(definition.kind, id), asker)
}
