// The actors of slots that move: on the old owner each leaves as soon as it is idle, on the new one what comes for one
// that is awaited waits for it.
import { PolyloopError } from '../lib/errors.ts'
import type { DeadReason } from '../observe/family.ts'
import { errorFields, type LimitedLogger } from '../observe/logger.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { Activation, Message } from './activation.ts'
import { type Address, addressOf } from './address.ts'
import type { Directory } from './directory.ts'
import type { GateMessage, Gates } from './gate.ts'
import type { ActorKind } from './kind.ts'
import type { SlotMove } from './router.ts'
import { nameOf, type Runner } from './runner.ts'
import {
  type ActorMoveMessage,
  type FrozenActor,
  type FrozenTimer,
  freezeActor,
  mailboxOf,
  thawActor,
} from './transfer.ts'

export interface ActorMigrationOptions {
  readonly wheel: TimerWheel
  readonly handlerGraceMs: number
  readonly mailboxMax: number
  readonly kinds: ReadonlyMap<string, ActorKind>
  readonly failed: LimitedLogger
  readonly directory: Directory
  readonly runner: Runner
  readonly create: (kind: ActorKind, address: Address) => Activation
  readonly gone: (activation: Activation) => void
  /** Into the mailbox, never to the handler at once: it could send to the same actor, and overtake what still waits. */
  readonly deliver: (kind: number, source: number, record: Buffer) => void
  readonly refuse: (actor: string, kind: ActorKind | undefined, message: Message, reason: DeadReason) => void
  readonly emptied: (moveId: number) => void
  readonly gates: Gates
}

interface Leaving {
  readonly to: number
  readonly staying: Set<Activation>
  readonly post: (message: ActorMoveMessage | GateMessage) => void
  /** The new owner was told which actors to wait for. */
  released: boolean
}

interface Waiting {
  readonly kind: number
  readonly source: number
  readonly bytes: Buffer
}

export class ActorMigration {
  readonly #options: ActorMigrationOptions
  readonly #leaving = new Map<number, Leaving>()
  /** By key: what came for an actor that has not arrived. */
  readonly #awaited = new Map<string, Waiting[]>()

  constructor(options: ActorMigrationOptions) {
    this.#options = options
  }

  /** Actors that are on their way here. */
  get awaited(): number {
    return this.#awaited.size
  }

  /** Keeps a record for an actor that is on its way. */
  await(key: string, kind: number, source: number, record: Buffer): 'kept' | 'full' | 'no' {
    const waiting = this.#awaited.size === 0 ? undefined : this.#awaited.get(key)
    if (waiting === undefined) return 'no'
    if (waiting.length >= this.#options.mailboxMax) return 'full'
    waiting.push({ kind, source, bytes: Buffer.from(record) })
    return 'kept'
  }

  /** The slots have a new owner: their actors follow, each as soon as it is idle. `post` is the way there. */
  leave(move: SlotMove, post: (message: ActorMoveMessage | GateMessage) => void): void {
    const slots = new Set(move.slots)
    const leaving: Leaving = { to: move.to, staying: new Set(), post, released: false }
    this.#leaving.set(move.id, leaving)
    const all = [...this.#options.directory.all()].filter(({ address }) => slots.has(address.slot))
    for (const activation of all) {
      activation.leaving = true
      leaving.staying.add(activation)
    }
    for (const activation of all) {
      const { status, interleaved } = activation
      if ((status === 'idle' && interleaved === 0) || status === 'backoff' || status === 'failed')
        this.depart(activation)
    }
    post({ kind: 'released', awaited: [...leaving.staying].map(nameOf) })
    leaving.released = true
    if (leaving.staying.size > 0) {
      this.#options.wheel.schedule(this.#options.handlerGraceMs, () => this.#giveUp(move.id))
    }
    this.#endIfEmpty(move.id, leaving)
  }

  /** On the new owner: what the old one posts. */
  arrived(from: number, message: ActorMoveMessage): void {
    if (message.kind === 'released') {
      for (const key of message.awaited) this.#awaited.set(key, [])
    } else if (message.kind === 'actor') this.#thaw(from, message.frozen, message.gate)
    else this.#notComing(message.key)
  }

  /** The old owner died: what has not come will not. Before the router hears of it: what that holds was sent later. */
  abandoned(move: SlotMove): void {
    const slots = new Set(move.slots)
    for (const key of [...this.#awaited.keys()]) {
      const slash = key.indexOf('/')
      if (slots.has(addressOf(key.slice(0, slash), key.slice(slash + 1)).slot)) this.#notComing(key)
    }
  }

  /** The new owner died: what has not left has nowhere to go. */
  leaveFailed(moveId: number): void {
    this.#giveUp(moveId)
  }

  /** It is idle, or will not be soon. */
  depart(activation: Activation): void {
    const leaving = this.#leavingOf(activation)
    if (leaving === undefined) return
    const key = nameOf(activation)
    let message: ActorMoveMessage
    try {
      const frozen = freezeActor(activation, this.#options.wheel)
      message = { kind: 'actor', frozen, gate: this.#options.gates.close(leaving.to, leaving.post) }
    } catch (error) {
      this.#options.failed.error({ actor: key, ...errorFields(error) })
      this.#discard(activation)
      message = { kind: 'lost', key }
    }
    this.#letGo(leaving, activation, message)
  }

  /** It has ended: it left, or was passivated before it could. */
  left(activation: Activation): void {
    for (const [moveId, leaving] of this.#leaving) {
      // The new owner waits for it, and keeps what comes for it.
      if (leaving.staying.delete(activation)) leaving.post({ kind: 'lost', key: nameOf(activation) })
      this.#endIfEmpty(moveId, leaving)
    }
  }

  #leavingOf(activation: Activation): Leaving | undefined {
    for (const leaving of this.#leaving.values()) if (leaving.staying.has(activation)) return leaving
    return undefined
  }

  #endIfEmpty(moveId: number, leaving: Leaving): void {
    if (leaving.staying.size > 0 || !leaving.released) return
    this.#leaving.delete(moveId)
    this.#options.emptied(moveId)
  }

  #giveUp(moveId: number): void {
    const leaving = this.#leaving.get(moveId)
    if (leaving === undefined) return
    for (const activation of [...leaving.staying]) {
      const key = nameOf(activation)
      this.#options.failed.error({ actor: key, reason: 'its handler is not done' })
      this.#discard(activation)
      this.#letGo(leaving, activation, { kind: 'lost', key })
    }
  }

  /** It is not here any more; `message` is what the new owner gets of it. */
  #letGo(leaving: Leaving, activation: Activation, message: ActorMoveMessage): void {
    this.#options.runner.release(activation)
    activation.status = 'gone'
    leaving.staying.delete(activation)
    leaving.post(message)
    this.#options.gone(activation)
  }

  /** What waits for an actor that is given up. */
  #discard(activation: Activation): void {
    for (const message of activation.takeAll())
      this.#options.refuse(nameOf(activation), activation.kind, message, 'move_failed')
  }

  #thaw(from: number, frozen: FrozenActor, gate: number): void {
    const key = `${frozen.kind}/${frozen.id}`
    const kind = this.#options.kinds.get(frozen.kind)
    const address = addressOf(frozen.kind, frozen.id)
    const isTaken = this.#options.directory.find(address.hash, address.key, 0, address.key.length) !== undefined
    try {
      // Taken: its new shard died and came back in the middle of the move, and a message was faster.
      if (kind === undefined || isTaken) throw new PolyloopError('ACTOR_KIND_UNKNOWN', { kind: frozen.kind, isTaken })
      const { status, state, mailbox, timers, failuresMs, pauseMs } = thawActor(frozen, kind)
      const activation = this.#options.create(kind, address)
      activation.failuresMs = [...failuresMs]
      for (const message of mailbox) activation.push(message)
      if (status === 'failed') this.#options.runner.quarantine(activation, pauseMs)
      else if (status === 'backoff') this.#options.runner.pause(activation, pauseMs)
      else {
        activation.state = state
        activation.status = 'landing'
        this.#options.gates.wait(from, gate, () => this.#land(activation, timers))
      }
    } catch (error) {
      this.#options.failed.error({ actor: key, ...errorFields(error) })
      for (const message of mailboxOf(frozen)) this.#options.refuse(key, kind, message, 'move_failed')
    }
    this.#notComing(key)
  }

  /** What it had sent from its old shard is where it belongs. */
  #land(activation: Activation, timers: readonly FrozenTimer[]): void {
    const { runner } = this.#options
    if (activation.status !== 'landing') return
    activation.status = 'idle'
    runner.armIdle(activation)
    for (const { name, remainingMs, everyMs, method, argument } of timers) {
      runner.setTimer(activation, name, remainingMs, everyMs, method, argument)
    }
    if (activation.leaving) this.depart(activation)
    else if (activation.depth > 0) runner.makeReady(activation)
  }

  /** What waited for it goes to it if it came, or creates it anew. */
  #notComing(key: string): void {
    const awaited = this.#awaited.get(key)
    if (awaited === undefined) return
    this.#awaited.delete(key)
    for (const { kind, source, bytes } of awaited) this.#options.deliver(kind, source, bytes)
  }
}
