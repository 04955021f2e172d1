// One active actor: its state, its mailbox and where it is in its life. Data and small steps; system.ts runs it.
//
//   starting ──created──▶ idle ◀──────▶ busy ──threw──▶ backoff ──pause over──▶ starting
//                          │                               └──too often──▶ failed ──cool-down over──▶ gone
//                          └──silent──▶ passivating ──▶ gone
//   moving: gone from idle or backoff, and elsewhere: landing ──gate open──▶ idle
import type { TimerHandle } from '../timer/wheel.ts'
import type { Address } from './address.ts'
import type { ActorContext } from './context.ts'
import type { ActorKind } from './kind.ts'

export type ActivationStatus = 'landing' | 'starting' | 'idle' | 'busy' | 'backoff' | 'failed' | 'passivating' | 'gone'

/** A message on its way to a handler. Its numbers, but for the deadline, are int32. */
export interface Message {
  readonly method: number
  readonly argument: unknown
  /** The thread that waits for the answer; -1: nobody does. */
  readonly source: number
  readonly index: number
  readonly sequence: number
  /** 0: none. */
  readonly deadlineMs: number
  /** Who waits, in turn: hash and check of each. */
  readonly chain: readonly number[]
}

export interface ActorTimer {
  readonly method: string
  readonly argument: unknown
  /** 0: once. */
  readonly everyMs: number
  handle: TimerHandle
}

export class Activation {
  readonly kind: ActorKind
  readonly address: Address
  status: ActivationStatus = 'starting'
  state: unknown = undefined
  readonly context: ActorContext
  /** Itself, as the chain of what it asks when nobody waits for it. */
  readonly chain: readonly number[]
  /** The next one with the same hash. */
  next: Activation | undefined
  /** Results its handlers let others overtake (`context.interleave`), and that are not there yet. */
  interleaved = 0
  /** The one that the running handler gave to `context.interleave`. */
  interleaving: unknown = undefined
  /** The message that is being handled. */
  current: Message | undefined
  /** In the system's list of those that have something to do. */
  ready = false
  /** Its slot is leaving this shard: it goes as soon as it is idle. */
  leaving = false
  /** The handler said `context.stop()`. */
  stopping = false
  handled = 0
  /** `handled` when the idle timer was armed. */
  handledWhenArmed = 0
  idleTimer: TimerHandle | undefined
  /** Ends a pause or a cool-down. */
  pauseTimer: TimerHandle | undefined
  timers: Map<string, ActorTimer> | undefined
  /** When it failed, the last few times. */
  failuresMs: number[] = []
  // A queue with a moving start; nothing is allocated while it is empty.
  #mailbox: Message[] | undefined
  #mailboxStart = 0

  constructor(kind: ActorKind, address: Address, makeContext: (activation: Activation) => ActorContext) {
    this.kind = kind
    this.address = address
    this.chain = [address.hash, address.check]
    this.context = makeContext(this)
  }

  get depth(): number {
    return this.#mailbox === undefined ? 0 : this.#mailbox.length - this.#mailboxStart
  }

  push(message: Message): void {
    this.#mailbox ??= []
    this.#mailbox.push(message)
  }

  shift(): Message | undefined {
    const mailbox = this.#mailbox
    if (mailbox === undefined) return undefined
    const message = mailbox[this.#mailboxStart++]
    if (this.#mailboxStart === mailbox.length) {
      this.#mailbox = undefined
      this.#mailboxStart = 0
    } else if (this.#mailboxStart >= 512) {
      this.#mailbox = mailbox.slice(this.#mailboxStart)
      this.#mailboxStart = 0
    }
    return message
  }

  /** Empties the mailbox. */
  takeAll(): Message[] {
    const all = this.#mailbox?.slice(this.#mailboxStart) ?? []
    this.#mailbox = undefined
    this.#mailboxStart = 0
    return all
  }
}
