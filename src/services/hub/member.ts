// One connection of a session: who it is, what it has subscribed to, how it comes back and how it goes. What its client
// asks for is in dialog.ts.
//
//   awaiting ──channels know their past──▶ held ──recover, or in time──▶ replaying ──▶ open ──▶ gone
//   (a restored one)     └── without offsets ──────────────────────────▶ replaying       gone: closed, or moved away
import { randomUUID } from 'node:crypto'
import type { Connection } from '../../net/connection.ts'
import type { CloseReason } from '../../observe/family.ts'
import type { FrozenHeartbeat } from '../heartbeat.ts'
import { actionData } from './action-data.ts'
import { type ChannelLog, type Receiver, Subscription } from './channel-log.ts'
import { type ClosedReason, closedReasonOf } from './counter.ts'
import type { HubEdge, ListedClient } from './edge.ts'
import { formOf, type HubEvent } from './event.ts'
import type { Identity } from './identity.ts'
import { Pulse, type Pulsing } from './pulse.ts'
import { mergedOf, Replay } from './replay.ts'
import type { Options, Position } from './request.ts'
import { Session } from './session.ts'
import type { KeptPosition, SessionRecord } from './session-record.ts'
import { CLOSE, errorJson, type FrameType, TEXT, timestampOf } from './text.ts'

/** A client that knows its offsets says so at once after its session was restored; otherwise it gets what was buffered. */
export const RECOVER_WAIT_MS = 2_000

/** A member on its way to another shard; structured-cloneable. */
export interface FrozenMember {
  readonly record: SessionRecord
  readonly clientId: string
  readonly openedMs: number
  readonly connectedWallMs: number
  readonly heartbeat: FrozenHeartbeat | undefined
  readonly froms: readonly Position[]
}

/** A session that was restored. */
export interface Restored {
  readonly record: SessionRecord
  readonly identity: Identity
  readonly options: Options
}

export class Member implements Receiver, Pulsing {
  readonly session: Session
  readonly clientId: string
  readonly connection: Connection<Member>
  readonly edge: HubEdge
  readonly subscriptions = new Map<string, Subscription>()
  #state: 'awaiting' | 'held' | 'replaying' | 'open' | 'gone' = 'open'
  /** A request is being answered: nothing more is read until then. */
  #isBusy = false
  #replay: Replay | undefined
  #cancelHold: (() => void) | undefined
  #cancelExpiry: (() => void) | undefined
  #pulse: Pulse | undefined
  #openedMs: number
  #connectedWallMs: number
  #closedAs: ClosedReason | undefined
  #actedMs = Number.NEGATIVE_INFINITY

  constructor(edge: HubEdge, connection: Connection<Member>, session: Session, clientId: string) {
    const { clock } = edge.context
    this.edge = edge
    this.connection = connection
    this.session = session
    this.clientId = clientId
    this.#openedMs = clock.nowMs()
    this.#connectedWallMs = clock.wallMs()
  }

  static fresh(
    edge: HubEdge,
    connection: Connection<Member>,
    id: string,
    identity: Identity,
    options: Options,
  ): Member {
    const member = new Member(edge, connection, new Session(edge.sessionRules, { id, identity, options }), id)
    member.#begin(false)
    return member
  }

  static restored(edge: HubEdge, connection: Connection<Member>, { record, identity, options }: Restored): Member {
    const { id, buckets } = record
    const session = new Session(edge.sessionRules, { id, identity, options }, { buckets })
    const member = new Member(edge, connection, session, randomUUID())
    member.#begin(true)
    member.#return(record)
    return member
  }

  static thaw(edge: HubEdge, connection: Connection<Member>, frozen: FrozenMember): Member {
    const { record, clientId, openedMs, connectedWallMs, heartbeat, froms } = frozen
    const member = new Member(edge, connection, new Session(edge.sessionRules, record, record), clientId)
    member.#openedMs = openedMs
    member.#connectedWallMs = connectedWallMs
    member.#connect(heartbeat)
    for (const [index, [channel, epoch, offset]] of record.positions.entries()) {
      const log = edge.logs.get(channel)
      if (log === undefined) continue // the new configuration has no such channel
      const subscription = member.#hold(log, { epoch, offset })
      subscription.from = froms[index] ?? subscription.from
    }
    member.#caughtUp(record.positions, () => member.#startReplay([], false))
    // Whoever looks for the session has to look here.
    member.persist()
    return member
  }

  get wallMs(): number {
    return this.edge.context.clock.wallMs()
  }

  get timestamp(): string {
    return timestampOf(this.wallMs)
  }

  get isGone(): boolean {
    return this.#state === 'gone'
  }

  listed(): ListedClient {
    const { clock } = this.edge.context
    const heardMs = Math.max(this.#openedMs, this.connection.patience.receivedMs)
    return {
      client_id: this.clientId,
      user_id: this.session.identity.userId,
      connected_at: this.#connectedWallMs / 1_000,
      channels: [...this.subscriptions.keys()],
      last_heartbeat: (clock.wallMs() - (clock.nowMs() - heardMs)) / 1_000,
    }
  }

  // ---- to the client ----------------------------------------------------------------------------------------------

  /** A frame that is no event. */
  send(type: FrameType, json: string): void {
    const { counters } = this.edge
    if (!this.connection.open) {
      if (!this.isGone) counters.error('send_failed')
      return
    }
    this.connection.send(json)
    counters.frame(type)
    counters.sentBytes.observe(json.length)
  }

  get isOpen(): boolean {
    return this.connection.open
  }

  deliver(frames: Buffer, messages: number): void {
    this.connection.sendShared(frames, messages)
  }

  /** The client has read most of what waited for it. */
  caughtUp(): void {
    if (this.#state === 'replaying') this.#pump()
  }

  ponged(): void {
    this.#pulse?.ponged()
  }

  sendPing(): void {
    this.send('ping', `{"type":"ping","timestamp":"${this.timestamp}"}`)
  }

  // ---- requests that take their time --------------------------------------------------------------------------------

  /** Reads nothing more until `answer` has settled, so that replies keep the order of requests. */
  busy(answer: Promise<void>): Promise<void> {
    this.#isBusy = true
    this.connection.pause()
    return answer.finally(() => {
      this.#isBusy = false
      this.#goOn()
    })
  }

  /** Nothing of it is under way: it may move. */
  get settled(): boolean {
    return this.#state === 'open' && !this.#isBusy
  }

  // ---- subscriptions ----------------------------------------------------------------------------------------------

  subscribe(log: ChannelLog): void {
    if (this.subscriptions.has(log.channel)) return
    log.enter(this.#hold(log, log.position))
  }

  unsubscribe(channel: string): void {
    const subscription = this.subscriptions.get(channel)
    if (subscription === undefined) return
    subscription.log.leave(subscription)
    this.subscriptions.delete(channel)
    this.edge.count(channel, -1)
  }

  setOptions(options: Options): void {
    this.session.options = options
    const form = formOf(options, this.connection.wire)
    for (const subscription of this.subscriptions.values()) subscription.log.reform(subscription, form)
  }

  /** The client is about to say what it got last: what is held for it waits for that. */
  expectRecover(): void {
    this.#cancelHold?.()
  }

  /**
   * The client says what it got last. Answers how many events of each channel it will get, and whether that is all it
   * missed; `start` sends them, behind the reply.
   */
  recover(positions: ReadonlyMap<string, Position>): {
    readonly channels: ReadonlyMap<string, { readonly recovered: boolean; readonly missed: number }>
    readonly start: () => void
  } {
    const channels = new Map<string, { recovered: boolean; missed: number }>()
    const lists: (readonly HubEvent[])[] = []
    for (const [channel, position] of positions) {
      const subscription = this.subscriptions.get(channel)
      if (subscription === undefined) {
        channels.set(channel, { recovered: false, missed: 0 })
        continue
      }
      const missed = this.#missedBy(subscription, position)
      channels.set(channel, { recovered: subscription.log.reaches(position), missed: missed.length })
      lists.push(missed)
      subscription.from = this.#sentFrom(subscription, position)
    }
    const wasHeld = this.#state === 'held'
    for (const [channel, subscription] of this.subscriptions) {
      // It has never got an event of those it does not name: what was buffered is all it missed.
      if (wasHeld && !positions.has(channel)) lists.push(subscription.log.after(subscription.held))
      subscription.log.leave(subscription)
      subscription.held = subscription.log.position
    }
    return { channels, start: () => this.#startReplay(mergedOf(lists), false) }
  }

  // ---- reconnection tokens ----------------------------------------------------------------------------------------

  /** Undefined: it could not be kept where others would find it. */
  async issueToken(): Promise<string | undefined> {
    const minted = this.session.mint()
    if (await this.edge.book.save(this.#record(true))) return minted.token.text
    this.session.withdraw(minted)
    return undefined
  }

  get mayHaveTokens(): boolean {
    return this.session.identity.userId !== null || this.edge.context.config.anonymousTokens
  }

  /** What the bridge keeps of it has changed. */
  persist(): void {
    if (this.session.hasTokens) void this.edge.book.save(this.#record(true))
  }

  surrender(digest: string, userId: string | null | undefined): SessionRecord | undefined {
    if (!this.session.isOpenedBy(digest, userId)) return undefined
    const record = this.#record(false)
    this.session.voidTokens()
    this.end('resumed', CLOSE.resumed)
    return record
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  end(as: ClosedReason, { code, reason }: { readonly code: number; readonly reason: string }): void {
    this.#closedAs ??= as
    this.#leave()
    this.connection.close(code, reason)
  }

  /** The runtime is about to close the connection. */
  closing(reason: CloseReason): void {
    if (reason === 'too_large') this.send('error', errorJson(TEXT.tooLarge))
    if (reason !== 'shutdown' || this.isGone || !this.mayHaveTokens) return
    const { text } = this.session.mint().token
    const seconds = this.edge.context.config.tokenTtl / 1_000
    this.send('disconnected', `{"type":"disconnected","reconnection_token":"${text}","expires_in":${seconds}}`)
  }

  closed(reason: CloseReason): void {
    this.#closedAs ??= closedReasonOf(reason)
    this.#leave()
    const { counters, context } = this.edge
    counters.closed(this.#closedAs)
    counters.duration.observe((context.clock.nowMs() - this.#openedMs) / 1_000)
  }

  freeze(): FrozenMember {
    const froms = [...this.subscriptions.values()].map(({ from }) => from)
    const record = this.#record(true)
    const heartbeat = this.#pulse?.freeze()
    this.#disconnect()
    this.edge.remove(this)
    this.#state = 'gone'
    const { clientId } = this
    return { record, clientId, openedMs: this.#openedMs, connectedWallMs: this.#connectedWallMs, heartbeat, froms }
  }

  /** At most one event a second. */
  toldLimit(type: string): void {
    const { clock } = this.edge.context
    if (clock.nowMs() - this.#actedMs < 1_000) return
    this.#actedMs = clock.nowMs()
    const result = { client_id: this.clientId, message_type: type }
    this.edge.tell('actions', 'action.executed', actionData({ type: 'rate_limit', result, error: TEXT.rateLimited }))
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  #begin(isReturning: boolean): void {
    const { userId } = this.session.identity
    this.edge.counters.opened.value++
    this.#connect(undefined)
    this.send(
      'connected',
      `{"type":"connected","client_id":"${this.clientId}","user_id":${JSON.stringify(userId)},"reconnected":${isReturning},"timestamp":"${this.timestamp}"}`,
    )
    this.edge.tellConnection(this, 'client.connected')
  }

  #connect(heartbeat: FrozenHeartbeat | undefined): void {
    const { edge, session } = this
    const { after, config } = edge.context
    this.#pulse = new Pulse(edge.pulseRules, this, heartbeat)
    edge.add(this)
    const { expiresMs } = session.identity
    if (!config.closeOnTokenExpiry || expiresMs === undefined) return
    // A timer takes at most 24.8 days; no connection lives so long.
    const leftMs = Math.min(2 ** 31 - 1, Math.max(0, expiresMs - this.wallMs))
    this.#cancelExpiry = after(leftMs, () => this.end('error', CLOSE.expired))
  }

  /** With what its session had. */
  #return(record: SessionRecord): void {
    const { edge, session } = this
    const denied: string[] = []
    for (const [channel, epoch, offset] of record.positions) {
      const log = edge.logs.get(channel)
      if (log === undefined || !edge.permissions.maySubscribe(session.identity.role, channel)) denied.push(channel)
      else this.#hold(log, { epoch, offset })
    }
    this.#caughtUp(record.positions, () => this.#restored(denied, record.owner === null))
  }

  /** `isExact`: where it stood is known; else its shard died, and only a client with offsets can tell what comes twice. */
  #restored(denied: readonly string[], isExact: boolean): void {
    const { edge, session, clientId } = this
    const { offsets } = session.options
    let dropped = 0
    for (const subscription of this.subscriptions.values()) {
      const { log, held } = subscription
      dropped += log.lostAfter(held)
      if (isExact || offsets) continue
      dropped += log.after(held).length
      subscription.held = log.position
    }
    const all = mergedOf([...this.subscriptions.values()].map(({ log, held }) => log.after(held)))
    const surplus = Math.max(0, all.length - edge.context.config.bufferSize)
    const missed = surplus === 0 ? all : all.slice(surplus)
    edge.counters.overflow.value += dropped + surplus
    const refused = denied.length === 0 ? '' : `,"denied":${JSON.stringify(denied)}`
    const channels = JSON.stringify([...this.subscriptions.keys()])
    this.send(
      'session_restored',
      `{"type":"session_restored","reconnected":true,"client_id":"${clientId}","user_id":${JSON.stringify(session.identity.userId)},"channels":${channels}${refused},"missed":${missed.length},"dropped":${dropped + surplus},"timestamp":"${this.timestamp}"}`,
    )
    if (!offsets) {
      for (const subscription of this.subscriptions.values()) subscription.held = subscription.log.position
      this.#startReplay(missed, true)
      return
    }
    this.#state = 'held'
    this.#goOn()
    this.#cancelHold = edge.context.after(RECOVER_WAIT_MS, () => this.#unhold())
  }

  /** The client did not say what it got. */
  #unhold(): void {
    const lists = [...this.subscriptions.values()].map((subscription) => {
      const { log, held } = subscription
      if (subscription.index < 0) subscription.held = log.position
      return subscription.index < 0 ? log.after(held) : []
    })
    this.#startReplay(mergedOf(lists).slice(-this.edge.context.config.bufferSize), true)
  }

  #missedBy(subscription: Subscription, position: Position): readonly HubEvent[] {
    const { log, from } = subscription
    const behind = log.after(position)
    if (subscription.index < 0) return behind
    // It has been sent everything behind `from` already.
    const sentFrom = from.epoch === log.position.epoch ? from.offset : 0
    return behind.filter(({ offset }) => offset <= sentFrom)
  }

  /** Where everything it is sent on this connection begins, when it is sent what is behind `position`, too. */
  #sentFrom({ log, from, index }: Subscription, position: Position): Position {
    const { epoch, offset } = log.position
    // All there is of this epoch.
    if (index >= 0 && from.epoch !== epoch) return from
    if (position.epoch !== epoch) return position
    return { epoch, offset: Math.min(position.offset, index < 0 ? offset : from.offset) }
  }

  #hold(log: ChannelLog, position: Position): Subscription {
    const subscription = new Subscription(log, this, formOf(this.session.options, this.connection.wire), position)
    this.subscriptions.set(log.channel, subscription)
    this.edge.count(log.channel, 1)
    return subscription
  }

  /** When all its channels know of everything that there was before. */
  #caughtUp(positions: readonly KeptPosition[], then: () => void): void {
    this.#state = 'awaiting'
    this.connection.pause()
    void this.edge.catchUp(positions).then(() => {
      if (!this.isGone) then()
    })
  }

  #startReplay(events: readonly HubEvent[], isBuffered: boolean): void {
    if (this.isGone) return
    this.#state = 'replaying'
    const held = [...this.subscriptions.values()].filter(({ index }) => index < 0)
    this.#replay = new Replay(this.connection, held, events, isBuffered)
    this.#pump()
  }

  #pump(): void {
    const replay = this.#replay
    if (replay === undefined) return
    const { counters } = this.edge
    const done = replay.pump((event, subscription) => {
      counters.channel(event.channel)[event.typeIn(subscription?.form ?? 0)].value++
    })
    if (this.isGone) return
    if (!done) {
      this.connection.pause()
      return
    }
    this.#replay = undefined
    this.#state = 'open'
    this.#goOn()
  }

  /** Reads on, if nothing keeps it from that. */
  #goOn(): void {
    const waits = this.#isBusy || this.#state === 'awaiting' || this.#state === 'replaying'
    if (waits || !this.connection.paused) {
      if (!waits) this.connection.lookAgain()
      return
    }
    this.#pulse?.goOn()
    this.connection.resume()
    this.connection.lookAgain()
  }

  #record(isOpen: boolean): SessionRecord {
    const positions = [...this.subscriptions.values()].map((subscription) => this.#positionOf(subscription))
    return this.session.record(positions, isOpen)
  }

  #positionOf(subscription: Subscription): KeptPosition {
    const { log, position, index } = subscription
    if (index < 0 && this.#replay !== undefined) return this.#replay.positionOf(subscription)
    return [log.channel, position.epoch, position.offset]
  }

  /** Once, when its connection ends. */
  #leave(): void {
    if (this.isGone) return
    const record = this.#record(false)
    this.#disconnect()
    this.edge.remove(this)
    this.#state = 'gone'
    this.edge.book.park(record)
    this.edge.tellConnection(this, 'client.disconnected', { reason: this.#closedAs ?? 'error' })
  }

  #disconnect(): void {
    this.#cancelHold?.()
    this.#cancelExpiry?.()
    this.#pulse?.stop()
    for (const subscription of this.subscriptions.values()) {
      subscription.log.leave(subscription)
      this.edge.count(subscription.log.channel, -1)
    }
  }
}
