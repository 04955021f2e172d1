// One connection of rooms, from its first byte to its last: what it says goes to the room, what the room says goes to it.
//
//     guest ──Login──▶ joining ──own join came──▶ inside ──Logout, FIN──▶ leaving ──own leave came, all sent──▶ over
//       ▲                 │                          └── dropped, stalled, lost, closed ─────────────────────────▲
//       └── name in use ──┘
import type { TopicEvent } from '../../actor/topic-connection.ts'
import type { Connection } from '../../net/connection.ts'
import type { CloseReason } from '../../observe/family.ts'
import { errorFields } from '../../observe/logger.ts'
import type { Batch } from './batch.ts'
import type { DropReason, RejectReason } from './counter.ts'
import { encodeDescriptor, MESSAGE_TYPE } from './descriptor.ts'
import type { RoomsEdge } from './edge.ts'
import { type FrozenInlet, Inlet, type InletOwner, type Refusal } from './inlet.ts'
import { Outlet, type OutletOwner } from './outlet.ts'
import { RECORD_KIND, type RoomRecord } from './room-record.ts'
import { contentTooLargeText } from './text.ts'
import type { TurnResult } from './turn.ts'

/** Refused logins of one connection; then it is closed. */
export const REFUSALS_MAX = 16

const ACCEPTED = encodeDescriptor(MESSAGE_TYPE.login, 0, 0)
const ANSWERS = {
  exists: encodeDescriptor(MESSAGE_TYPE.usernameExists, 0, 0),
  bad_username: encodeDescriptor(MESSAGE_TYPE.badUsername, 0, 0),
  bad_login: encodeDescriptor(MESSAGE_TYPE.badLogin, 0, 0),
}

/** What a member needs to go on in another shard; structured-cloneable. */
export interface FrozenMember {
  readonly phase: 'guest' | 'inside'
  /** Of the room it is in. */
  readonly epoch: number
  readonly refusals: number
  readonly isSubscribed: boolean
  /** Since it was opened. */
  readonly ageMs: number
  readonly inlet: FrozenInlet
}

export class Member implements InletOwner, OutletOwner {
  readonly #connection: Connection<Member>
  readonly #edge: RoomsEdge
  readonly #inlet: Inlet
  readonly #outlet: Outlet
  #phase: 'guest' | 'joining' | 'inside' | 'leaving' | 'over' = 'guest'
  #refusals = 0
  /** The name it asks for, while its subscription is not there yet. */
  #asked: string | undefined
  #isSubscribed = false
  #hasSubscribed = false
  /** While it joins: the last record that came, and where its join stands at the latest. */
  #passedEpoch = 0
  #passed = 0
  #joinedBy = Number.POSITIVE_INFINITY
  #peerEnded = false
  /** It gets no more than what waits for it. */
  #endsWhenEmpty = false
  /** Contents that it has read, of which the room does not know. */
  #unconfirmed = 0
  readonly #openedMs: number
  #cancelLogin: (() => void) | undefined

  constructor(connection: Connection<Member>, edge: RoomsEdge, frozen?: FrozenMember) {
    const { context, link, readers } = edge
    this.#connection = connection
    this.#edge = edge
    this.#openedMs = context.clock.nowMs() - (frozen?.ageMs ?? 0)
    this.#outlet = new Outlet(connection as Connection, this, readers)
    // Before its input: what that finds depends on where it is.
    if (frozen !== undefined) {
      this.#phase = frozen.phase
      this.#refusals = frozen.refusals
      this.#isSubscribed = frozen.isSubscribed
      this.#hasSubscribed = frozen.isSubscribed
    }
    this.#inlet = new Inlet(connection.id, context, link, this, frozen?.inlet)
    if (this.#phase === 'guest') this.#expectLogin()
    else edge.add(this)
  }

  static thaw(connection: Connection<Member>, edge: RoomsEdge, frozen: FrozenMember): Member {
    const member = new Member(connection, edge, frozen)
    const early = edge.takeEarly(connection.id)
    if (frozen.phase === 'inside') {
      if (!edge.link.learn(frozen.epoch)) member.end()
      edge.link.push({ kind: 'moved', id: connection.id }, (result) => {
        if (result === 'gone') member.gone()
      })
    }
    for (const bytes of early) member.receive(bytes)
    member.#inlet.look()
    return member
  }

  // ---- what the handler calls -------------------------------------------------------------------------------------

  /** Bytes of the client; answers how many were taken. */
  take(bytes: Buffer): number {
    // Behind its end, input is read into nothing.
    return this.stage === 'over' ? bytes.length : this.#inlet.take(bytes)
  }

  /** Records of the room. */
  receive(bytes: Uint8Array): void {
    if (this.#phase === 'guest' || this.#phase === 'over') return
    const batch = this.#edge.batchOf(bytes)
    // Parsing may have found that its room is no more.
    if (this.#isOver) return
    const { whole } = batch
    if (this.#phase === 'inside' && whole !== undefined && !batch.subjects.includes(this.#connection.id))
      this.#outlet.push(whole, batch.records.length, batch.contentBytes)
    else this.#each(batch)
  }

  hear(event: TopicEvent): void {
    if (event.type === 'subscribed') {
      this.#isSubscribed = true
      if (this.#asked !== undefined) this.#join(this.#asked)
    } else if (event.type === 'refused') this.end()
    else if (event.reason === 'epoch') this.#edge.lose()
    // What comes before its join is not for it: nobody holds up a room for a shard that has no members yet.
    else if (this.#phase === 'inside' || this.#phase === 'leaving') this.#miss(event.reason)
  }

  writable(): void {
    this.#outlet.pump()
  }

  /** The client sends no more. */
  peerEnds(): void {
    this.#peerEnded = true
    if (this.#phase === 'guest') this.end()
    // What is complete is sent.
    else if (this.#phase === 'inside' && !this.#inlet.isFinishing) this.leave()
  }

  /** The connection is about to end for a reason of ours: what waits in memory leaves before. */
  closing(reason: CloseReason): void {
    if (reason === 'shutdown' || reason === 'restart') this.#outlet.flush()
  }

  get settled(): boolean {
    const isResting = this.#phase === 'guest' || this.#phase === 'inside'
    const isQuiet = this.#inlet.isSettled && this.#outlet.isEmpty && this.#unconfirmed === 0
    return isResting && isQuiet && !this.#peerEnded
  }

  freeze(): FrozenMember {
    const phase = this.#phase === 'inside' ? 'inside' : 'guest'
    const ageMs = this.#edge.context.clock.nowMs() - this.#openedMs
    const { epoch } = this.#edge.link
    const [refusals, isSubscribed] = [this.#refusals, this.#isSubscribed]
    const frozen = { phase, epoch, refusals, isSubscribed, ageMs, inlet: this.#inlet.freeze() } as const
    this.#phase = 'over'
    this.#release()
    if (phase === 'inside') this.#edge.link.push({ kind: 'away', id: this.#connection.id })
    return frozen
  }

  /** The connection is gone. */
  closed(): void {
    this.#over()
  }

  // ---- logging in -------------------------------------------------------------------------------------------------

  get stage(): InletOwner['stage'] {
    if (this.#phase === 'joining') return 'waiting'
    return this.#phase === 'leaving' ? 'over' : this.#phase
  }

  refuse(refusal: Refusal | 'exists', isLast: boolean): void {
    const { counters } = this.#edge
    counters.login(refusal)
    this.#connection.send(ANSWERS[refusal])
    if (++this.#refusals >= REFUSALS_MAX) counters.rejected('refusals')
    if (isLast || this.#refusals >= REFUSALS_MAX || this.#peerEnded) this.end()
  }

  login(name: string): void {
    this.#phase = 'joining'
    this.#asked = name
    if (!this.#hasSubscribed) {
      this.#hasSubscribed = true
      const outcome = this.#edge.subscribe(this.#connection as Connection)
      if (outcome !== 'accepted') this.end()
      // It may have been heard of already.
    } else if (this.#isSubscribed) this.#join(name)
  }

  #join(name: string): void {
    this.#asked = undefined
    if (this.#phase !== 'joining') return
    this.#edge.link.push({ kind: 'login', id: this.#connection.id, name }, (result, published) =>
      this.#answered(result, published),
    )
  }

  #answered(result: TurnResult | undefined, published = 0): void {
    if (result === 'accepted') this.#edge.counters.login('accepted')
    if (this.#phase !== 'joining') return
    if (result === 'accepted') {
      this.#joinedBy = published
      this.#edge.accepted(this)
      this.#lookForJoin()
      return
    }
    this.#phase = 'guest'
    this.refuse('exists', false)
    this.#inlet.look()
  }

  /** What came behind its join came without that: it was lost on an overloaded way, and more with it. */
  #lookForJoin(): void {
    if (this.#phase !== 'joining' || this.#passedEpoch !== this.#edge.link.epoch) return
    if (this.#passed > this.#joinedBy) this.#miss('lost')
  }

  #pass({ epoch, position }: RoomRecord): void {
    this.#passedEpoch = epoch
    this.#passed = position
  }

  #enter({ frame }: RoomRecord): void {
    this.#phase = 'inside'
    this.#cancelLogin?.()
    this.#edge.add(this)
    this.#outlet.push(ACCEPTED, 1, 0)
    this.#outlet.push(frame, 1, 0)
    if (this.#peerEnded) this.leave()
    else this.#inlet.look()
  }

  #expectLogin(): void {
    const { context, counters } = this.#edge
    const leftMs = context.config.loginTimeout - (context.clock.nowMs() - this.#openedMs)
    this.#cancelLogin = context.after(Math.max(1, leftMs), () => {
      counters.login('timeout')
      this.end()
    })
  }

  // ---- what the room says -----------------------------------------------------------------------------------------

  #each(batch: Batch): void {
    const { id } = this.#connection
    for (const record of batch.records) {
      if (this.#isOver || this.#endsWhenEmpty) return
      const { kind, subject, second, frame, contentBytes, spooled } = record
      const isOwn = subject === id
      if (this.#phase === 'joining') {
        if (kind === RECORD_KIND.joined && isOwn) this.#enter(record)
        else this.#pass(record)
      } else if (kind === RECORD_KIND.left && isOwn) {
        this.#endsWhenEmpty = true
        this.#endIfEmpty()
      } else if (kind !== RECORD_KIND.private || isOwn || second === id)
        this.#outlet.push(frame, 1, contentBytes, spooled)
    }
    this.#lookForJoin()
  }

  /** What it missed nobody keeps. */
  #miss(reason: string): void {
    this.#edge.logged.gap.warn({ connection: this.#connection.id, reason })
    this.drop('queue')
  }

  drop(reason: DropReason): void {
    if (this.#isOver) return
    this.#edge.counters.dropped(reason)
    this.#edge.logged.dropped.warn({ connection: this.#connection.id, reason })
    this.#connection.destroy('too_slow')
    this.#over()
  }

  failed(error: unknown): void {
    this.diskFailed(error)
    this.#connection.destroy('server')
    this.#over()
  }

  read(file: number): void {
    this.#unconfirmed++
    this.#edge.link.push({ kind: 'read', id: this.#connection.id, file }, () => {
      this.#unconfirmed--
      this.settledChanged()
    })
  }

  delivered(contentBytes: number): void {
    this.#edge.counters.contentOut.value += contentBytes
  }

  drained(): void {
    if (this.#endsWhenEmpty) this.#endIfEmpty()
    else this.#connection.lookAgain()
  }

  /** Asked now and then. */
  look(nowMs: number): void {
    if (this.#outlet.isStalled(nowMs, this.#edge.context.config.recipientTimeout)) this.drop('stall')
  }

  // ---- what its input calls ---------------------------------------------------------------------------------------

  get paused(): boolean {
    return this.#connection.paused
  }

  pause(): void {
    this.#connection.pause()
  }

  resume(): void {
    this.#connection.resume()
  }

  finished(): void {
    if (this.#peerEnded && this.#phase === 'inside') this.leave()
  }

  settledChanged(): void {
    this.#connection.lookAgain()
  }

  /** It gets what was said before its leave, and nothing of that itself. */
  leave(): void {
    this.#phase = 'leaving'
    this.#inlet.close()
    this.#edge.link.push({ kind: 'leave', id: this.#connection.id }, (result) => {
      if (result !== 'done') this.end()
    })
  }

  /** Its place is behind what was said before; then it leaves. */
  tooLarge(): void {
    const { context, link } = this.#edge
    this.rejected('content')
    link.push({ kind: 'answer', id: this.#connection.id, text: contentTooLargeText(context.config.maxContentBytes) })
    this.leave()
  }

  gone(): void {
    this.end()
  }

  stalled(): void {
    this.rejected('stall')
    if (this.#phase === 'inside') this.leave()
    else this.end()
  }

  accepted(type: number, scope: 'room' | 'private', contentBytes: number): void {
    this.#edge.counters.message(type, scope)
    this.#edge.counters.contentIn.value += contentBytes
  }

  rejected(reason: RejectReason): void {
    this.#edge.counters.rejected(reason)
  }

  diskFailed(error: unknown): void {
    this.#edge.logged.disk.error(errorFields(error))
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /** What its connection has still leaves, then FIN. */
  end(): void {
    if (this.#isOver) return
    this.#connection.close()
    this.#over()
  }

  #over(): void {
    const { id } = this.#connection
    const { link } = this.#edge
    const [isThere, isLeaving] = [this.#phase === 'joining' || this.#phase === 'inside', this.#phase === 'leaving']
    this.#phase = 'over'
    this.#inlet.close()
    this.#release()
    if (isThere) link.push({ kind: 'leave', id })
    if (isThere || isLeaving) link.push({ kind: 'over', id })
  }

  // A getter, because the compiler believes that calling somebody cannot change a phase.
  get #isOver(): boolean {
    return this.#phase === 'over'
  }

  #endIfEmpty(): void {
    if (this.#outlet.isEmpty) this.end()
  }

  #release(): void {
    this.#cancelLogin?.()
    this.#outlet.close()
    this.#edge.remove(this)
  }
}
