// The client of a hub: what the connection brings goes to handlers, to `receive` or to who asked for it, and what
// handlers want is kept up over connections.
import { type BinaryMessage, binaryHandler } from './binary.ts'
import { Connector } from './connector.ts'
import { type EventOf, type HubEvent, type HubFrame, isEvent, isObject, stringsOf } from './frame.ts'
import { FrameQueue, type ReceiveOptions } from './frame-queue.ts'
import { type Handler, HandlerTable } from './handler-table.ts'
import { HubError } from './hub-error.ts'
import type { SocketEnd } from './hub-socket.ts'
import { type ClientOptions, type Settings, settingsOf, urlOf } from './option.ts'
import { PositionTable } from './position-table.ts'
import { Recovery } from './recovery.ts'
import { RequestTable, type Settle } from './request-table.ts'
import { SubscriptionTable } from './subscription-table.ts'

/** Who the client is to the server; null before the first connection. */
export interface ConnectionInfo {
  readonly clientId: string | null
  readonly userId: string | null
  readonly timestamp: string | null
}

/** An error frame of the server, or the like from the client itself; then `cause` is a HubError. */
export interface ErrorReport {
  readonly type: 'error'
  readonly message: string
  /** Seconds. */
  readonly retry_after?: number
  /** Channels that may not be subscribed to. */
  readonly denied?: readonly string[]
  /** Channels that may have lost events while there was no connection. */
  readonly lost?: readonly string[]
  readonly cause?: unknown
}

export interface Disconnection {
  readonly code: number
  readonly reason: string
  readonly reconnecting: boolean
}

/** What `on` listens to, and what its handlers get. */
export interface ClientEvents {
  readonly connected: HubFrame
  readonly disconnected: Disconnection
  readonly error: ErrorReport
  readonly pong: HubFrame
  readonly restored: HubFrame
  readonly subscribed: HubFrame
  readonly binary: BinaryMessage
}

/** Channels in one frame. */
const NAMES_MAX = 64
const RENEWAL_MS = 240_000
/** Of a token's life, before the next one is asked for. */
const RENEWAL_SHARE = 0.8
const UNKNOWN: ConnectionInfo = { clientId: null, userId: null, timestamp: null }

export class NeurographWSClient {
  readonly binaryHandler = binaryHandler
  readonly #settings: Settings
  readonly #connector: Connector
  readonly #queue = new FrameQueue()
  readonly #requests = new RequestTable()
  readonly #listeners = new HandlerTable((error, name) => {
    // A handler of errors that fails has nobody left to tell.
    if (name === 'error') this.#log(error.message)
    else this.#report(error)
  })
  readonly #channels = new HandlerTable((error) => this.#report(error))
  readonly #subscriptions = new SubscriptionTable()
  readonly #positions = new PositionTable()
  readonly #recoveries = new Set<Recovery>()
  #info = UNKNOWN
  #reconnectionToken: string | undefined
  #renewal: ReturnType<typeof setTimeout> | undefined
  #retry: ReturnType<typeof setTimeout> | undefined
  /** Between `connected` and `session_restored` nobody knows yet what is subscribed. */
  #isRestoring = false
  #isPlanned = false

  constructor(options: ClientOptions = {}) {
    const settings = settingsOf(options)
    this.#settings = settings
    this.#connector = new Connector(settings, {
      url: () => urlOf(settings, this.#reconnectionToken),
      connected: (frame) => this.#welcome(frame),
      frame: (frame, characters) => this.#take(frame, characters),
      binary: (message) => this.#takeBinary(message),
      problem: (error) => this.#report(error),
      lost: (end, again) => this.#lost(end, again),
      finished: (error, isForGood) => this.#finished(error, isForGood),
      silent: () => this.#ask('ping', {}, () => undefined),
      log: (text) => this.#log(text),
    })
  }

  get clientId(): string | null {
    return this.#info.clientId
  }

  get client_id(): string | null {
    return this.#info.clientId
  }

  get userId(): string | null {
    return this.#info.userId
  }

  isConnected(): boolean {
    return this.#connector.isOpen
  }

  getConnectionInfo(): ConnectionInfo {
    return this.#info
  }

  /** Resolves at `connected`. Rejects with REFUSED when the server refuses, NOT_CONNECTED when there is none. */
  connect(): Promise<void> {
    return this.#connector.connect()
  }

  /** Ends the connection for good; resolves when it has ended. `connect` begins a new session. */
  close(): Promise<void> {
    return this.#connector.close()
  }

  disconnect(): void {
    void this.close()
  }

  /** Sends one JSON text frame, or bytes as one binary frame. Throws NOT_CONNECTED, LIMIT or FRAME_INVALID. */
  send(frame: object): void {
    this.#reconcile()
    this.#connector.send(encoded(frame))
  }

  /** The next control frame, with `events` also events. Rejects with TIMEOUT, or NOT_CONNECTED when closed. */
  receive(options: ReceiveOptions = {}): Promise<HubFrame> {
    return this.#queue.receive(options, this.#connector.state !== 'closed')
  }

  /** Calls `handler` with each event of the channel, now and over all later connections. */
  subscribe<C extends string>(channel: C, handler: Handler<EventOf<C>>): void {
    // Whoever begins to listen does not want what was before.
    if (!this.#channels.has(channel)) this.#positions.forget(channel)
    this.#channels.add(channel, handler)
    this.#plan()
  }

  subscribeMultiple<C extends string>(channels: readonly C[], handler: Handler<EventOf<C>>): void {
    for (const channel of channels) this.subscribe(channel, handler)
  }

  /** Without `handler`: all handlers of the channel. */
  unsubscribe<C extends string>(channel: C, handler?: Handler<EventOf<C>>): void {
    this.#channels.remove(channel, handler)
    this.#plan()
  }

  on<E extends keyof ClientEvents>(event: E, handler: Handler<ClientEvents[E]>): void {
    this.#listeners.add(event, handler)
  }

  off<E extends keyof ClientEvents>(event: E, handler: Handler<ClientEvents[E]>): void {
    this.#listeners.remove(event, handler)
  }

  /** The answer goes to handlers of `pong`. Throws NOT_CONNECTED. */
  ping(): void {
    if (!this.isConnected()) throw new HubError('NOT_CONNECTED', 'Not connected')
    this.#ask('ping', {}, (reply) => {
      if (reply instanceof HubError) this.#report(reply)
      else this.#listeners.call('pong', reply)
    })
  }

  /** In order of subscription. */
  async getSubscriptions(): Promise<string[]> {
    return stringsOf((await this.#request('get_subscriptions')).channels)
  }

  /** A token with which this session can be resumed, here or elsewhere, for as long as the server says. */
  async getReconnectionToken(): Promise<string> {
    const { token } = await this.#request('get_reconnection_token')
    if (typeof token !== 'string') throw new HubError('FRAME_INVALID', 'The reply has no token')
    this.#reconnectionToken = token
    return token
  }

  /** Resolves with the number of subscribers it went to. Needs the right to broadcast. */
  async broadcast(channel: string, data: object, eventType?: string): Promise<number> {
    const { subscribers } = await this.#request('broadcast', { channel, event_type: eventType, data })
    return typeof subscribers === 'number' ? subscribers : 0
  }

  #request(type: string, members: object = {}): Promise<HubFrame> {
    return new Promise((resolve, reject) => {
      this.#ask(type, members, (reply) => {
        if (reply instanceof HubError) reject(reply)
        else resolve(reply)
      })
    })
  }

  #ask(type: string, members: object, settle: Settle): void {
    this.#reconcile()
    this.#requests.ask((id) => this.#connector.send(JSON.stringify({ type, ...members, id })), settle)
  }

  #welcome(frame: HubFrame): void {
    const { client_id: clientId = null, user_id: userId = null, timestamp = null } = frame
    this.#info = { clientId, userId, timestamp }
    this.#isRestoring = frame.reconnected === true
    const lost = this.#isRestoring ? [] : this.#subscriptions.reset()
    this.#listeners.call('connected', frame)
    // Nothing can be asked for where no event has ever told a position.
    const unknown = lost.filter((channel) => this.#channels.has(channel) && !this.#positions.has(channel))
    if (this.#settings.resume && unknown.length > 0) this.#reportLost(unknown)
    this.#reconcile()
    this.#renewToken()
  }

  #take(frame: HubFrame, characters: number): void {
    if (isEvent(frame)) this.#takeEvent(frame, characters)
    else if (!this.#requests.settle(frame)) this.#takeControl(frame, characters)
  }

  #takeControl(frame: HubFrame, characters: number): void {
    const { type, reconnection_token: token } = frame
    if (type === 'ping' || type === 'connected') return
    this.#queue.push(frame, false, characters)
    if (type === 'session_restored') this.#restored(frame)
    else if (type === 'disconnected' && typeof token === 'string') this.#reconnectionToken = token
    else if (type === 'pong') this.#listeners.call('pong', frame)
    else if (type === 'error') this.#listeners.call('error', frame)
  }

  #takeEvent(event: HubFrame & HubEvent, characters: number): void {
    const deliver = (): void => {
      if (!this.#positions.advance(event)) return
      this.#queue.push(event, true, characters)
      this.#channels.call(event.channel, event)
    }
    if (!this.#hold(event.channel, deliver)) deliver()
  }

  #takeBinary(message: BinaryMessage): void {
    const { channel } = message.metadata
    const deliver = (): void => {
      this.#positions.step(channel)
      this.#listeners.call('binary', message)
    }
    if (!this.#hold(channel, deliver)) deliver()
  }

  #hold(channel: unknown, deliver: () => void): boolean {
    for (const recovery of this.#recoveries) {
      if (!recovery.take(channel, deliver)) continue
      if (recovery.isOver) this.#recoveries.delete(recovery)
      return true
    }
    return false
  }

  #restored(frame: HubFrame): void {
    const [channels, denied] = [stringsOf(frame.channels), stringsOf(frame.denied)]
    this.#isRestoring = false
    this.#subscriptions.restore(channels, denied)
    // Also without any position: the server waits for it, for a while.
    if (this.#settings.resume) this.#recover(this.#begin(this.#positions.of(channels)))
    this.#listeners.call('restored', frame)
    if (denied.length > 0) this.#reportDenied(frame, denied)
    this.#reconcile()
  }

  /** All changes of one turn become one request. */
  #plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    queueMicrotask(() => this.#reconcile())
  }

  #reconcile(): void {
    this.#isPlanned = false
    if (!this.isConnected() || this.#isRestoring) return
    const { subscribe, unsubscribe } = this.#subscriptions.take(new Set(this.#channels.names))
    for (const channels of parted(unsubscribe)) this.#ask('unsubscribe', { channels }, (reply) => this.#done(reply))
    for (const channels of parted(subscribe)) this.#subscribe(channels)
  }

  #subscribe(channels: readonly string[]): void {
    // From here on, not from the reply on: an event may be there before it.
    const recovery = this.#prepare(channels)
    this.#ask('subscribe', { channels }, (reply) => {
      if (reply instanceof HubError) {
        // What waits goes on waiting: the next connection asks again.
        if (reply.code === 'NOT_CONNECTED') return
        this.#drop(recovery)
        this.#subscriptions.forget(channels)
        if (reply.retryAfterMs === undefined) this.#done(reply)
        else this.#retry = setTimeout(() => this.#plan(), reply.retryAfterMs)
        return
      }
      const denied = stringsOf(reply.denied)
      this.#subscriptions.grant(stringsOf(reply.channels))
      if (recovery !== undefined) this.#recover(recovery)
      this.#listeners.call('subscribed', reply)
      if (denied.length > 0) this.#reportDenied(reply, denied)
    })
  }

  /** What was missed on these channels is going to be asked for. */
  #prepare(channels: readonly string[]): Recovery | undefined {
    const positions = this.#settings.resume ? this.#positions.of(channels) : {}
    return Object.keys(positions).length === 0 ? undefined : this.#begin(positions)
  }

  #begin(positions: Recovery['positions']): Recovery {
    const recovery = new Recovery(positions)
    this.#recoveries.add(recovery)
    return recovery
  }

  #recover(recovery: Recovery): void {
    const { positions } = recovery
    this.#ask('recover', { positions }, (reply) => {
      if (reply instanceof HubError) {
        if (reply.code === 'NOT_CONNECTED') return // as above
        this.#drop(recovery)
        if (recovery.channels.length > 0) this.#reportLost(recovery.channels, reply)
        return
      }
      this.#recovered(recovery, isObject(reply.channels) ? reply.channels : {})
    })
  }

  #recovered(recovery: Recovery, results: Readonly<Record<string, unknown>>): void {
    const lost: string[] = []
    for (const channel of recovery.channels) {
      const result = results[channel]
      const { recovered, missed } = isObject(result) ? result : {}
      if (recovered !== true) {
        lost.push(channel)
        this.#positions.forget(channel)
      }
      recovery.expect(channel, typeof missed === 'number' ? missed : 0)
    }
    if (recovery.isOver) this.#recoveries.delete(recovery)
    if (lost.length > 0) this.#reportLost(lost)
  }

  #drop(recovery: Recovery | undefined): void {
    if (recovery === undefined || !this.#recoveries.delete(recovery)) return
    recovery.release()
  }

  #renewToken(): void {
    clearTimeout(this.#renewal)
    if (!this.#settings.resume || !this.isConnected()) return
    this.#ask('get_reconnection_token', {}, (reply) => {
      if (!this.isConnected()) return
      let pauseMs = RENEWAL_MS
      if (reply instanceof HubError) {
        // A server that gives none is no error: then a lost connection means a new session.
        this.#log(`no reconnection token: ${reply.message}`)
        pauseMs = Math.min(reply.retryAfterMs ?? RENEWAL_MS, RENEWAL_MS)
      } else {
        const { token, expires_in: expiresIn } = reply
        if (typeof token === 'string') this.#reconnectionToken = token
        if (typeof expiresIn === 'number') pauseMs = Math.min(RENEWAL_MS, expiresIn * RENEWAL_SHARE * 1000)
      }
      this.#renewal = setTimeout(() => this.#renewToken(), pauseMs)
    })
  }

  #lost({ code, reason }: SocketEnd, again: boolean): void {
    clearTimeout(this.#renewal)
    clearTimeout(this.#retry)
    // Positions stay where they are: what waited for an answer is asked for again.
    this.#recoveries.clear()
    this.#requests.fail(new HubError('NOT_CONNECTED', 'The connection was lost', { closeCode: code }))
    this.#listeners.call('disconnected', { code, reason, reconnecting: again } satisfies Disconnection)
  }

  #finished(error: HubError, isForGood: boolean): void {
    this.#queue.fail(error)
    if (!isForGood) return
    this.#reconnectionToken = undefined
    this.#positions.clear()
    this.#subscriptions.reset()
  }

  #done(reply: HubFrame | HubError): void {
    // Without a connection there is nothing to put right: the next one begins anew.
    if (reply instanceof HubError && reply.code !== 'NOT_CONNECTED') this.#report(reply)
  }

  #report(cause: HubError): void {
    this.#tell({ type: 'error', message: cause.message, cause })
  }

  #reportDenied({ message }: HubFrame, denied: readonly string[]): void {
    this.#tell({ type: 'error', message: message ?? `Permission denied for channels: ${denied.join(', ')}`, denied })
  }

  #reportLost(lost: readonly string[], cause?: HubError): void {
    this.#tell({ type: 'error', message: `Events may be missing on channels: ${lost.join(', ')}`, lost, cause })
  }

  #tell(report: ErrorReport): void {
    this.#log(report.message)
    this.#listeners.call('error', report)
  }

  #log(text: string): void {
    if (this.#settings.debug) console.debug(`[neurograph-ws-client] ${text}`)
  }
}

function encoded(frame: object): string | Uint8Array<ArrayBuffer> {
  if (frame instanceof ArrayBuffer) return new Uint8Array(frame)
  if (frame instanceof Uint8Array) return frame as Uint8Array<ArrayBuffer>
  const text: string | undefined = JSON.stringify(frame)
  if (text === undefined) throw new HubError('FRAME_INVALID', 'A frame must have a JSON form')
  return text
}

function parted(channels: readonly string[]): readonly (readonly string[])[] {
  const parts: (readonly string[])[] = []
  for (let start = 0; start < channels.length; start += NAMES_MAX) parts.push(channels.slice(start, start + NAMES_MAX))
  return parts
}
