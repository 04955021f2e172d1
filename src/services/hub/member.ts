// One connection of a session: who it is, how it comes back, how it moves and how it goes. What its client asks for is in
// dialog.ts, what it gets of its channels in feed.ts.
import { randomUUID } from 'node:crypto'
import type { Connection } from '../../net/connection.ts'
import type { CloseReason } from '../../observe/family.ts'
import type { FrozenHeartbeat } from '../heartbeat.ts'
import { actionData } from './action-data.ts'
import type { ChannelLog } from './channel-log.ts'
import { type ClosedReason, closedReasonOf } from './counter.ts'
import type { HubEdge, ListedClient } from './edge.ts'
import { formOf } from './event.ts'
import { type Fed, Feed, type Recovery } from './feed.ts'
import type { Identity } from './identity.ts'
import { Pulse, type Pulsing } from './pulse.ts'
import type { Options, Position } from './request.ts'
import { Session } from './session.ts'
import type { LiveSession } from './session-book.ts'
import type { SessionRecord } from './session-record.ts'
import { CLOSE, errorJson, type FrameType, TEXT, timestampOf } from './text.ts'

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

export class Member implements Fed, LiveSession, Pulsing {
  readonly session: Session
  readonly clientId: string
  readonly connection: Connection<Member>
  readonly edge: HubEdge
  readonly #feed: Feed
  /** Closed, or moved away. */
  #isGone = false
  /** A request is being answered: nothing more is read until then. */
  #isBusy = false
  /** What the bridge is being told. */
  #writes = 0
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
    this.#feed = new Feed(edge, connection, formOf(session.options, connection.wire), this)
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
    const { id, buckets, restores } = record
    const session = new Session(edge.sessionRules, { id, identity, options }, { buckets, restores })
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
      member.#feed.hold(log, { epoch, offset }, froms[index])
    }
    member.#feed.catchUp(() => member.#feed.goOn())
    // Whoever looks for the session has to look here, unless somebody has taken it while it was on its way.
    member.#write(edge.book.claim(member))
    return member
  }

  get wallMs(): number {
    return this.edge.context.clock.wallMs()
  }

  get timestamp(): string {
    return timestampOf(this.wallMs)
  }

  get isGone(): boolean {
    return this.#isGone
  }

  listed(): ListedClient {
    const { clock } = this.edge.context
    const heardMs = Math.max(this.#openedMs, this.connection.patience.receivedMs)
    return {
      client_id: this.clientId,
      user_id: this.session.identity.userId,
      connected_at: this.#connectedWallMs / 1_000,
      channels: this.channels,
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

  /** The client has read most of what waited for it. */
  caughtUp(): void {
    this.#feed.caughtUp()
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
      this.readOn()
    })
  }

  /** Nothing of it is under way: it may move. */
  get settled(): boolean {
    return this.#feed.isLevel && !this.#isBusy && this.#writes === 0
  }

  /** Reads on, if nothing keeps it from that. */
  readOn(): void {
    const waits = this.#isBusy || this.#feed.keepsWaiting
    if (waits || !this.connection.paused) {
      if (!waits) this.connection.lookAgain()
      return
    }
    this.#pulse?.goOn()
    this.connection.resume()
    this.connection.lookAgain()
  }

  // ---- subscriptions ----------------------------------------------------------------------------------------------

  /** In the order of subscription. */
  get channels(): readonly string[] {
    return [...this.#feed.subscriptions.keys()]
  }

  has(channel: string): boolean {
    return this.#feed.subscriptions.has(channel)
  }

  subscribe(log: ChannelLog): void {
    this.#feed.subscribe(log)
  }

  unsubscribe(channel: string): void {
    this.#feed.unsubscribe(channel)
  }

  setOptions(options: Options): void {
    this.session.options = options
    this.#feed.reform(formOf(options, this.connection.wire))
  }

  /** The client is about to say what it got last. */
  expectRecover(): void {
    this.#feed.expectRecover()
  }

  recover(positions: ReadonlyMap<string, Position>): Recovery {
    return this.#feed.recover(positions)
  }

  // ---- reconnection tokens ----------------------------------------------------------------------------------------

  /** Undefined: it could not be kept where others would find it. */
  async issueToken(): Promise<string | undefined> {
    const minted = this.session.mint()
    if (await this.edge.book.keep(this)) return minted.token.text
    this.session.withdraw(minted)
    return undefined
  }

  get mayHaveTokens(): boolean {
    return this.session.identity.userId !== null || this.edge.context.config.anonymousTokens
  }

  /** What the bridge keeps of it has changed. */
  persist(): void {
    if (this.session.hasTokens) this.#write(this.edge.book.keep(this))
  }

  // ---- LiveSession ------------------------------------------------------------------------------------------------

  surrender(digest: string, userId: string | null | undefined): SessionRecord | undefined {
    if (!this.session.isOpenedBy(digest, userId)) return undefined
    const record = this.#record(false)
    this.session.voidTokens()
    this.end('resumed', CLOSE.resumed)
    return record
  }

  kept(): SessionRecord | undefined {
    return this.session.hasTokens ? this.#record(true) : undefined
  }

  lost(): void {
    this.session.voidTokens()
    this.end('resumed', CLOSE.resumed)
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
    const froms = [...this.#feed.subscriptions.values()].map(({ from }) => from)
    const record = this.#record(true)
    const heartbeat = this.#pulse?.freeze()
    this.#disconnect()
    this.edge.remove(this)
    this.#isGone = true
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
      else this.#feed.hold(log, { epoch, offset })
    }
    const isExact = record.owner === null
    this.#feed.catchUp(() => this.#restored(isExact, denied.splice(0)))
  }

  /** Told again, for channels that were not known in time. */
  #restored(isExact: boolean, denied: readonly string[]): void {
    const { session, clientId } = this
    const { identity, options } = session
    const past = this.#feed.past(isExact)
    const { missed, dropped } = past
    const refused = denied.length === 0 ? '' : `,"denied":${JSON.stringify(denied)}`
    const channels = JSON.stringify(this.channels)
    this.send(
      'session_restored',
      `{"type":"session_restored","reconnected":true,"client_id":"${clientId}","user_id":${JSON.stringify(identity.userId)},"channels":${channels}${refused},"missed":${missed.length},"dropped":${dropped},"timestamp":"${this.timestamp}"}`,
    )
    this.#feed.give(past, options.offsets)
  }

  #write(written: Promise<unknown>): void {
    this.#writes++
    void written.then(() => {
      this.#writes--
      this.connection.lookAgain()
    })
  }

  #record(isOpen: boolean): SessionRecord {
    return this.session.record(this.#feed.positions(), isOpen)
  }

  /** Once, when its connection ends. */
  #leave(): void {
    if (this.isGone) return
    const record = this.#record(false)
    this.#disconnect()
    this.edge.remove(this)
    this.#isGone = true
    this.edge.book.park(record)
    this.edge.tellConnection(this, 'client.disconnected', { reason: this.#closedAs ?? 'error' })
  }

  #disconnect(): void {
    this.#cancelExpiry?.()
    this.#pulse?.stop()
    this.#feed.end()
  }
}
