// The actors of one thread: finds or wakes the one a message is for, and carries questions and answers. On a thread
// that owns no slots (main) it only sends. Knows threads as numbers and rings as functions.

import { viewOf } from '../lib/bytes.ts'
import type { Clock } from '../lib/clock.ts'
import { copyOf, decodeValue, encodeValue, errorData, errorOf } from '../lib/codec.ts'
import { type ErrorCode, PolyloopError } from '../lib/errors.ts'
import type { DeadReason } from '../observe/family.ts'
import type { LimitedLogger, Logger } from '../observe/logger.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { Activation, type ActivationStatus, type Message } from './activation.ts'
import { ActorMigration } from './actor-migration.ts'
import type { ActorSender } from './actor-ref.ts'
import { type Address, addressOf } from './address.ts'
import { AskTable } from './ask-table.ts'
import { type ActorServices, contextOf } from './context.ts'
import { Directory } from './directory.ts'
import type { FailureLimits } from './failure-policy.ts'
import type { Gates } from './gate.ts'
import type { ActorKind } from './kind.ts'
import { decodeMessage, encodeHead, HEAD_BYTES_MAX, keyStart, namesOf } from './message-record.ts'
import { ACTOR_RECORD, AT, CHAIN_MAX, methodNumber, REPLY_AT, REPLY_HEAD_BYTES } from './record.ts'
import type { Router, Send } from './router.ts'
import { nameOf, Runner } from './runner.ts'

export interface SystemLimits extends FailureLimits {
  readonly mailboxMax: number
  readonly askTimeoutMs: number
  readonly asksMax: number
  readonly serialiseLocal: boolean
  /** `ring.messageMax`. */
  readonly messageBytesMax: number
  /** How long a move waits for a handler. */
  readonly handlerGraceMs: number
}

export interface ActorSystemOptions {
  readonly self: number
  readonly generation: number
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly router: Pick<Router, 'route' | 'isHome' | 'emptied'>
  readonly kinds: ReadonlyMap<string, ActorKind>
  readonly limits: SystemLimits
  readonly log: Logger
  readonly services: ActorServices
  /** Answers go to the thread that asked, in the lane that requests never fill. */
  readonly toAsker: (thread: number, ...message: Parameters<Send>) => boolean
  readonly deadLetter: (reason: DeadReason) => void
  readonly gates: Gates
  readonly soon?: (run: () => void) => void
  readonly later?: (run: () => void) => void
}

const LOGGED_PER_SECOND = 5
const NOBODY: readonly number[] = []
const HEAP_FULL = 'heap_full'
/** An actor that failed has forgotten its state: nobody waits for the end of its pause. */
const STATELESS: readonly ActivationStatus[] = ['backoff', 'failed', 'gone']

export class ActorSystem implements ActorSender {
  /** Set by the heap guard: no new actors. */
  refusing = false
  readonly #options: ActorSystemOptions
  readonly #asks: AskTable
  readonly #runner: Runner
  readonly #directory = new Directory()
  readonly #head = Buffer.alloc(HEAD_BYTES_MAX)
  readonly #headView = viewOf(this.#head)
  readonly #replyHead = Buffer.alloc(REPLY_HEAD_BYTES)
  readonly #replyView = viewOf(this.#replyHead)
  readonly #migration: ActorMigration
  readonly #deadLogged: LimitedLogger
  #depthMax = 0

  constructor(options: ActorSystemOptions) {
    const { clock, wheel, limits, log } = options
    this.#options = options
    this.#asks = new AskTable(clock, wheel, limits.asksMax, options.generation)
    this.#deadLogged = log.limited('actor.dead_letter', LOGGED_PER_SECOND)
    this.#runner = new Runner({
      clock,
      wheel,
      limits,
      mailboxMax: limits.mailboxMax,
      failed: log.limited('actor.failed', LOGGED_PER_SECOND),
      soon: options.soon ?? queueMicrotask,
      later: options.later ?? setImmediate,
      reply: (message, value) => this.#reply(message, value),
      replyError: (message, error) => this.#replyError(message, error),
      dead: (reason, activation) => this.#dead(reason, nameOf(activation), activation.kind),
      gone: (activation) => this.#gone(activation),
      canLeave: (activation) => this.#migration.depart(activation),
    })
    this.#migration = new ActorMigration({
      wheel,
      handlerGraceMs: limits.handlerGraceMs,
      mailboxMax: limits.mailboxMax,
      kinds: options.kinds,
      failed: log.limited('actor.move_failed', LOGGED_PER_SECOND),
      directory: this.#directory,
      runner: this.#runner,
      create: (kind, address) => this.#create(kind, address),
      gone: (activation) => this.#gone(activation),
      deliver: (kind, source, record) => this.deliver(kind, source, record, false),
      refuse: (actor, kind, message, reason) => {
        this.#dead(reason, actor, kind)
        this.#replyError(message, new PolyloopError('ACTOR_UNREACHABLE', { actor }))
      },
      emptied: (moveId) => options.router.emptied(moveId),
      gates: options.gates,
    })
  }

  // ---- sending ----------------------------------------------------------------------------------------------------

  tell(address: Address, method: string, argument: unknown): boolean {
    return this.#send(address, methodNumber(method), argument, -1, 0, 0, NOBODY) === undefined
  }

  ask(
    address: Address,
    method: string,
    argument: unknown,
    timeoutMs: number | undefined,
    asker: Activation | undefined,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { clock, limits } = this.#options
      const nowMs = clock.nowMs()
      const current = asker?.current
      // A deadline travels: nobody works for an asker that has given up.
      const ownMs = nowMs + (timeoutMs ?? limits.askTimeoutMs)
      const deadlineMs = current === undefined || current.deadlineMs === 0 ? ownMs : Math.min(ownMs, current.deadlineMs)
      if (deadlineMs <= nowMs) {
        reject(new PolyloopError('ASK_TIMEOUT', { actor: keyOf(address), method }))
        return
      }
      const chain = asker === undefined ? NOBODY : chainOf(asker, current)
      if (waitsFor(chain, address)) {
        const names = { actor: keyOf(address), method, asker: asker && nameOf(asker) }
        reject(new PolyloopError('ACTOR_CYCLE', names))
        return
      }
      const index = this.#asks.open(deadlineMs, nowMs, address, method, resolve, reject)
      if (index < 0) {
        reject(new PolyloopError('ASKS_TOO_MANY', { actor: keyOf(address), method, max: limits.asksMax }))
        return
      }
      const { sequence } = this.#asks
      let refused: ErrorCode | undefined
      try {
        refused = this.#send(address, methodNumber(method), argument, index, sequence, deadlineMs, chain)
      } catch (error) {
        this.#asks.reject(index, sequence, error as PolyloopError)
        return
      }
      if (refused === undefined) return
      this.#asks.reject(index, sequence, new PolyloopError(refused, { actor: keyOf(address), method }))
    })
  }

  /** Undefined: it is on its way. `index` below 0: a tell. */
  #send(
    address: Address,
    method: number,
    argument: unknown,
    index: number,
    sequence: number,
    deadlineMs: number,
    chain: readonly number[],
  ): ErrorCode | undefined {
    const { router, limits } = this.#options
    if (router.isHome(address.slot)) {
      const local = limits.serialiseLocal ? copyOf(argument) : argument
      const source = index < 0 ? -1 : this.#options.self
      return this.#sendHere(address, { method, argument: local, source, index, sequence, deadlineMs, chain })
    }
    const { tag, bytes, start, end } = encodeValue(argument)
    const head = this.#head
    const headBytes = encodeHead(head, this.#headView, address, method, tag, index, sequence, deadlineMs, chain)
    if (headBytes + end - start > limits.messageBytesMax) {
      const details = { bytes: end - start, max: limits.messageBytesMax }
      throw new PolyloopError('MESSAGE_TOO_LARGE', details)
    }
    const kind = index < 0 ? ACTOR_RECORD.tell : ACTOR_RECORD.ask
    if (router.route(address.slot, kind, head, headBytes, bytes, start, end - start)) return undefined
    this.#dead('ring_full', keyOf(address), undefined)
    return 'RING_FULL'
  }

  #sendHere(address: Address, message: Message): ErrorCode | undefined {
    const { hash, key } = address
    const known = this.#directory.find(hash, key, 0, key.length)
    const activation = known ?? this.#activate(address.kind, address.id, address)
    if (typeof activation === 'string') return activation
    this.#accept(activation, message, false)
    // Behind its first message, which fails if it cannot be created.
    if (known === undefined) this.#runner.start(activation)
    return undefined
  }

  // ---- receiving --------------------------------------------------------------------------------------------------

  /**
   * A tell or an ask from another thread as it lies in a ring, `bytes[start, end)`; `view` has the same memory. False: only
   * the router knows what to do with it.
   */
  receive(kind: number, source: number, bytes: Buffer, view: DataView, start: number, end: number): boolean {
    if (!this.#options.router.isHome(view.getUint16(start + AT.slot, true))) return false
    this.#deliver(kind, source, bytes, view, start, end, true)
    return true
  }

  /** As the router delivers: to an actor of a slot that is owned here. `now`: it may be handled on this stack. */
  deliver(kind: number, source: number, record: Buffer, now: boolean): void {
    this.#deliver(kind, source, record, viewOf(record), 0, record.length, now)
  }

  #deliver(
    kind: number,
    source: number,
    bytes: Buffer,
    view: DataView,
    start: number,
    end: number,
    now: boolean,
  ): void {
    const key = keyStart(kind, bytes, start)
    const keyEnd = key + view.getUint16(start + AT.keyBytes, true)
    let activation: Activation | ErrorCode | undefined
    let isNew = false
    activation = this.#directory.find(view.getInt32(start + AT.hash, true), bytes, key, keyEnd)
    if (activation === undefined) {
      const record = bytes.subarray(start, end)
      const names = namesOf(kind, record)
      const actor = `${names.kind}/${names.id}`
      const awaited = this.#migration.await(actor, kind, source, record)
      if (awaited === 'full') {
        this.#dead('mailbox_full', actor, this.#options.kinds.get(names.kind))
        this.#answer(kind, source, record, new PolyloopError('MAILBOX_FULL', { actor }))
      }
      if (awaited !== 'no') return
      activation = this.#activate(names.kind, names.id, undefined)
      isNew = true
      if (typeof activation === 'string') {
        this.#answer(kind, source, record, new PolyloopError(activation, { actor }))
        return
      }
    }
    const message = this.#decode(kind, source, bytes, view, start, keyEnd, end)
    if (message !== undefined) this.#accept(activation, message, now)
    if (isNew) this.#runner.start(activation)
  }

  /** As the router asks: whether the actor of this record is still here though its slot is leaving, and has it now. */
  stays(kind: number, source: number, record: Buffer): boolean {
    const view = viewOf(record)
    const key = keyStart(kind, record, 0)
    const keyEnd = key + view.getUint16(AT.keyBytes, true)
    const activation = this.#directory.find(view.getInt32(AT.hash, true), record, key, keyEnd)
    if (activation === undefined) return false
    const message = this.#decode(kind, source, record, view, 0, keyEnd, record.length)
    if (message !== undefined) this.#accept(activation, message, false)
    return true
  }

  /** A record that the router will not deliver. */
  reject(kind: number, source: number, record: Buffer, reason: 'left_over' | 'held_too_much'): void {
    const names = namesOf(kind, record)
    const actor = `${names.kind}/${names.id}`
    const isLeft = reason === 'left_over'
    this.#dead(isLeft ? 'left_over' : 'ring_full', actor, this.#options.kinds.get(names.kind))
    this.#answer(kind, source, record, new PolyloopError(isLeft ? 'ACTOR_UNREACHABLE' : 'RING_FULL', { actor }))
  }

  /** An answer to an ask of this thread: `bytes[start, end)`, and `view` has the same memory. */
  answered(bytes: Buffer, view: DataView, start: number, end: number): void {
    const index = view.getInt32(start + REPLY_AT.index, true)
    const sequence = view.getInt32(start + REPLY_AT.sequence, true)
    let value: unknown
    let error: PolyloopError | undefined
    try {
      value = decodeValue(bytes[start + REPLY_AT.tag] as number, bytes, start + REPLY_HEAD_BYTES, end)
      if (bytes[start + REPLY_AT.failed] === 1) error = errorOf(value)
    } catch (thrown) {
      error = thrown as PolyloopError
    }
    if (error === undefined) this.#asks.resolve(index, sequence, value)
    else this.#asks.reject(index, sequence, error)
  }

  #decode(
    kind: number,
    source: number,
    bytes: Buffer,
    view: DataView,
    start: number,
    valueStart: number,
    end: number,
  ): Message | undefined {
    try {
      return decodeMessage(kind, source, bytes, view, start, valueStart, end)
    } catch (error) {
      const record = bytes.subarray(start, end)
      const names = namesOf(kind, record)
      this.#dead('value_invalid', `${names.kind}/${names.id}`, this.#options.kinds.get(names.kind))
      this.#answer(kind, source, record, error as PolyloopError)
      return undefined
    }
  }

  #accept(activation: Activation, message: Message, now: boolean): void {
    if (activation.status === 'failed') this.#runner.refuse(activation, message)
    else if (this.#runner.accept(activation, message, now)) {
      if (activation.depth > this.#depthMax) this.#depthMax = activation.depth
    } else {
      this.#dead('mailbox_full', nameOf(activation), activation.kind)
      this.#replyError(message, new PolyloopError('MAILBOX_FULL', { actor: nameOf(activation) }))
    }
  }

  #activate(kindName: string, id: string, known: Address | undefined): Activation | ErrorCode {
    const kind = this.#options.kinds.get(kindName)
    if (kind === undefined) {
      this.#dead('kind_unknown', `${kindName}/${id}`, undefined)
      return 'ACTOR_KIND_UNKNOWN'
    }
    if (this.refusing) {
      this.#dead(HEAP_FULL, `${kindName}/${id}`, kind)
      return 'HEAP_FULL'
    }
    return this.#create(kind, known ?? addressOf(kindName, id))
  }

  #create(kind: ActorKind, address: Address): Activation {
    const activation = new Activation(kind, address, (one) =>
      contextOf(one, this, this.#runner, this.#options.services),
    )
    this.#directory.add(activation)
    kind.active++
    return activation
  }

  #gone(activation: Activation): void {
    this.#directory.remove(activation)
    activation.kind.active--
    if (activation.leaving) this.#migration.left(activation)
  }

  // ---- answering --------------------------------------------------------------------------------------------------

  #reply(message: Message, value: unknown): void {
    const { self, limits } = this.#options
    if (message.source !== self) {
      try {
        this.#sendReply(message, 0, value)
      } catch (error) {
        this.#replyError(message, error as PolyloopError)
      }
      return
    }
    try {
      this.#asks.resolve(message.index, message.sequence, limits.serialiseLocal ? copyOf(value) : value)
    } catch (error) {
      this.#asks.reject(message.index, message.sequence, error as PolyloopError)
    }
  }

  #replyError(message: Message, error: PolyloopError): void {
    if (message.source < 0) return
    if (message.source === this.#options.self) this.#asks.reject(message.index, message.sequence, error)
    else this.#sendError(message, error)
  }

  #sendError(to: Pick<Message, 'source' | 'index' | 'sequence'>, error: PolyloopError): void {
    try {
      this.#sendReply(to, 1, errorData(error))
    } catch {
      // Details that cannot cross: the code still can.
      this.#sendReply(to, 1, errorData(new PolyloopError(error.code)))
    }
  }

  #sendReply(to: Pick<Message, 'source' | 'index' | 'sequence'>, failed: 0 | 1, value: unknown): void {
    const { tag, bytes, start, end } = encodeValue(value)
    const { messageBytesMax } = this.#options.limits
    if (end - start + REPLY_HEAD_BYTES > messageBytesMax) {
      throw new PolyloopError('MESSAGE_TOO_LARGE', { bytes: end - start, max: messageBytesMax })
    }
    const head = this.#replyHead
    this.#replyView.setInt32(REPLY_AT.index, to.index, true)
    this.#replyView.setInt32(REPLY_AT.sequence, to.sequence, true)
    head[REPLY_AT.failed] = failed
    head[REPLY_AT.tag] = tag
    // Refused only when the asker has not read for megabytes: its deadline tells it.
    this.#options.toAsker(to.source, ACTOR_RECORD.reply, head, REPLY_HEAD_BYTES, bytes, start, end - start)
  }

  /** Answers a record that became no message. */
  #answer(kind: number, source: number, record: Buffer, error: PolyloopError): void {
    if (kind !== ACTOR_RECORD.ask) return
    const [index, sequence] = [record.readInt32LE(AT.index), record.readInt32LE(AT.sequence)]
    if (source === this.#options.self) this.#asks.reject(index, sequence, error)
    else this.#sendError({ source, index, sequence }, error)
  }

  #dead(reason: DeadReason, actor: string, kind: ActorKind | undefined): void {
    if (kind !== undefined) kind.messages.dead.value++
    this.#options.deadLetter(reason)
    this.#deadLogged.warn({ actor, reason })
  }

  // ---- moving -----------------------------------------------------------------------------------------------------

  /** Leaving and arriving actors of slots that move. */
  get migration(): ActorMigration {
    return this.#migration
  }

  // ---- the shard's part -------------------------------------------------------------------------------------------

  /** Passivates what is idle: all of it, or at most `most`. Answers how many. */
  passivateIdle(most = Number.POSITIVE_INFINITY): number {
    let count = 0
    for (const activation of this.#directory.all()) {
      if (count >= most) break
      if (activation.status !== 'idle' || activation.depth > 0 || (activation.timers?.size ?? 0) > 0) continue
      count++
      this.#runner.passivate(activation)
    }
    return count
  }

  /** At the end of the shard: every idle actor may save its state. True when none is left that has one. */
  stop(): boolean {
    this.refusing = true
    let left = 0
    for (const activation of this.#directory.all()) {
      this.#runner.passivate(activation)
      if (!STATELESS.includes(activation.status)) left++
    }
    return left === 0
  }

  close(): void {
    this.#asks.close((actor, method) => new PolyloopError('RUNTIME_CLOSED', { actor, method }))
  }

  /** The fullest that a mailbox has been since this was last asked. */
  takeDepthMax(): number {
    const depth = this.#depthMax
    this.#depthMax = 0
    return depth
  }

  get size(): number {
    return this.#directory.size
  }

  get asks(): number {
    return this.#asks.size
  }

  activations(): Iterable<Activation> {
    return this.#directory.all()
  }
}

function keyOf({ kind, id }: Address): string {
  return `${kind}/${id}`
}

function chainOf(asker: Activation, current: Message | undefined): readonly number[] {
  if (current === undefined || current.chain.length === 0) return asker.chain
  return [...current.chain, ...asker.chain]
}

/** Whether the actor is one of those that wait, or there are too many of them. */
function waitsFor(chain: readonly number[], { hash, check }: Address): boolean {
  if (chain.length > CHAIN_MAX * 2) return true
  for (let link = 0; link < chain.length; link += 2) if (chain[link] === hash && chain[link + 1] === check) return true
  return false
}
