// Keeps one connection: opens it, watches over it, and opens the next one when it was lost.
//
//            connect()               `connected`
//   closed ─────────────▶ connecting ───────────▶ open
//     ▲ ▲                   │  ▲  │                 │ lost
//     │ └── refused, or ────┘  │  └── failed ──┐    │
//     │     never was open     │ pause is over ▼    ▼
//     │                        └────────────── waiting
//     └── close(); close code 4500–4999; 403; the last attempt failed
import { backoffMs } from './backoff.ts'
import type { BinaryMessage } from './binary.ts'
import type { HubFrame } from './frame.ts'
import { HubError } from './hub-error.ts'
import { HubSocket, type SocketEnd, type WebSocketClass } from './hub-socket.ts'

export type ConnectionState = 'closed' | 'connecting' | 'open' | 'waiting'

export interface ConnectorOptions {
  readonly WebSocket: WebSocketClass
  readonly autoReconnect: boolean
  /** Milliseconds. */
  readonly reconnectDelay: number
  readonly maxReconnectAttempts: number
  readonly random?: () => number
}

export interface ConnectorSink {
  /** Where the next connection goes. */
  url(): string
  /** The state is `open`; every frame from here on goes to `frame`. */
  connected(frame: HubFrame): void
  frame(frame: HubFrame, characters: number): void
  binary(message: BinaryMessage): void
  problem(error: HubError): void
  /** A connection that was open is gone; `again`: another one will be tried. */
  lost(end: SocketEnd, again: boolean): void
  /** The state is `closed`: nothing will come before the next `connect`. `isForGood`: one side wanted it to end. */
  finished(error: HubError, isForGood: boolean): void
  /** Nothing was heard for a while: ask for something. */
  silent(): void
  log(text: string): void
}

/** For the handshake and the first frame together. */
const CONNECT_MS_MAX = 15_000
/** The server says something every 30 s. Then the client asks, and if that stays unanswered the connection is dead. */
const SILENCE_MS_MAX = 45_000
const ANSWER_MS_MAX = 15_000
const FINAL_CODE_MIN = 4500
const FINAL_CODE_MAX = 4999
const FORBIDDEN = 403

export class Connector {
  readonly #options: ConnectorOptions
  readonly #sink: ConnectorSink
  #state: ConnectionState = 'closed'
  #socket: HubSocket | undefined
  /** Of `connect`, until the next connection is open. */
  #ready: PromiseWithResolvers<void> | undefined
  /** Of `close`, until the state is closed. */
  #closing: PromiseWithResolvers<void> | undefined
  /** Was open since `connect`: only then it comes back by itself. */
  #wasOpen = false
  #attempt = 0
  /** Of the state: the deadline of an attempt, the pause before it, or the watch over an open connection. */
  #timer: ReturnType<typeof setTimeout> | undefined
  #isHeard = false

  constructor(options: ConnectorOptions, sink: ConnectorSink) {
    this.#options = options
    this.#sink = sink
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** Frames can be sent. */
  get isOpen(): boolean {
    return this.#state === 'open' && this.#closing === undefined
  }

  /** Rejects when the first attempt fails (REFUSED, TIMEOUT, NOT_CONNECTED), or `close` comes first. */
  connect(): Promise<void> {
    // What ends has to end first.
    if (this.#closing !== undefined) return this.#closing.promise.then(() => this.connect())
    if (this.#state === 'open') return Promise.resolve()
    this.#ready ??= Promise.withResolvers<void>()
    const { promise } = this.#ready
    if (this.#state === 'closed') {
      this.#wasOpen = false
      this.#attempt = 0
      this.#open()
    }
    return promise
  }

  close(): Promise<void> {
    if (this.#state === 'closed') return Promise.resolve()
    this.#closing ??= Promise.withResolvers<void>()
    const { promise } = this.#closing
    if (this.#state === 'open') this.#socket?.close()
    else if (this.#socket !== undefined) this.#socket.drop('closed')
    else this.#finish(new HubError('NOT_CONNECTED', 'Closed'), true)
    return promise
  }

  /** Throws NOT_CONNECTED or LIMIT. */
  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (!this.isOpen || this.#socket === undefined) throw new HubError('NOT_CONNECTED', 'Not connected')
    this.#socket.send(data)
  }

  #open(): void {
    this.#state = 'connecting'
    const url = this.#sink.url()
    // Without the query: tokens are nobody's business.
    const address = url.replace(/\?.*$/s, '')
    this.#sink.log(`connecting to ${address}`)
    try {
      this.#socket = new HubSocket(url, this.#options.WebSocket, {
        frame: (frame, characters) => this.#take(frame, characters),
        binary: (message) => this.#takeBinary(message),
        problem: (error) => this.#sink.problem(error),
        end: (end) => this.#lost(end),
      })
    } catch (cause) {
      this.#finish(new HubError('NOT_CONNECTED', `Cannot connect to ${address}`, { cause }), false)
      return
    }
    this.#timer = setTimeout(() => this.#socket?.drop('no answer in time'), CONNECT_MS_MAX)
  }

  #take(frame: HubFrame, characters: number): void {
    this.#isHeard = true
    if (this.#state === 'open') this.#sink.frame(frame, characters)
    else if (this.#state === 'connecting' && frame.type === 'connected') this.#welcome(frame)
  }

  #takeBinary(message: BinaryMessage): void {
    this.#isHeard = true
    if (this.#state === 'open') this.#sink.binary(message)
  }

  #welcome(frame: HubFrame): void {
    this.#state = 'open'
    this.#wasOpen = true
    this.#attempt = 0
    this.#watch()
    this.#sink.log(`connected as ${frame.client_id}`)
    const ready = this.#ready
    this.#ready = undefined
    this.#sink.connected(frame)
    ready?.resolve()
  }

  #watch(): void {
    clearTimeout(this.#timer)
    this.#isHeard = false
    this.#timer = setTimeout(() => {
      if (this.#isHeard) return this.#watch()
      this.#sink.silent()
      this.#timer = setTimeout(() => {
        if (this.#isHeard) this.#watch()
        else this.#socket?.drop('nothing heard')
      }, ANSWER_MS_MAX)
    }, SILENCE_MS_MAX)
  }

  #lost(end: SocketEnd): void {
    clearTimeout(this.#timer)
    const wasOpen = this.#state === 'open'
    this.#socket = undefined
    const again = this.#mayReturn(end)
    this.#state = again ? 'waiting' : 'closed'
    this.#sink.log(`lost: ${end.code} ${end.reason}${end.status === undefined ? '' : ` (HTTP ${end.status})`}`)
    if (again) this.#wait()
    if (wasOpen) this.#sink.lost(end, again)
    if (!again) this.#finish(errorOf(end, this.#attempt), this.#closing !== undefined || isFinal(end))
  }

  #mayReturn(end: SocketEnd): boolean {
    if (this.#closing !== undefined || !this.#wasOpen || !this.#options.autoReconnect || isFinal(end)) return false
    return this.#attempt < this.#options.maxReconnectAttempts
  }

  #wait(): void {
    const { reconnectDelay, random = Math.random } = this.#options
    const pauseMs = backoffMs(++this.#attempt, reconnectDelay, random)
    this.#sink.log(`attempt ${this.#attempt} in ${Math.round(pauseMs)} ms`)
    this.#timer = setTimeout(() => this.#open(), pauseMs)
  }

  #finish(error: HubError, isForGood: boolean): void {
    clearTimeout(this.#timer)
    this.#state = 'closed'
    const [ready, closing] = [this.#ready, this.#closing]
    this.#ready = undefined
    this.#closing = undefined
    // Who closes has often stopped looking at what `connect` gave.
    if (closing !== undefined) ready?.promise.catch(() => undefined)
    this.#sink.finished(error, isForGood)
    ready?.reject(error)
    closing?.resolve()
  }
}

/** The server does not want this client back. */
function isFinal({ code, status }: SocketEnd): boolean {
  return status === FORBIDDEN || (code >= FINAL_CODE_MIN && code <= FINAL_CODE_MAX)
}

function errorOf({ code, reason, status }: SocketEnd, attempts: number): HubError {
  if (status !== undefined)
    return new HubError('REFUSED', `The server refused the connection: HTTP ${status}`, { status })
  const tried = attempts === 0 ? '' : ` after ${attempts} attempts`
  const text = `Not connected${tried}: closed with ${code}${reason === '' ? '' : ` ${reason}`}`
  return new HubError('NOT_CONNECTED', text, { closeCode: code })
}
