// The framing of an HTTP connection: Node's parser and http.Server on top of a connection's input and output. One request
// at a time: what is pipelined behind it waits, so that a connection holds one answer at most, and can move between two.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CloseReason } from '../observe/family.ts'
import type { TimerHandle } from '../timer/wheel.ts'
import type { Connection } from './connection.ts'
import type { FramingFactory } from './event-loop.ts'
import type { Framing, Wire } from './framing.ts'
import type { FrozenConnection, FrozenFraming, FrozenHttp } from './frozen-connection.ts'
import type { HttpHandler, UpgradeAnswer, WebSocketHandler } from './handler.ts'
import { HeadEnd } from './head-end.ts'
import { HEAD_BYTES_MAX, responseOf } from './http.ts'
import { HttpStream, type HttpWire } from './http-stream.ts'
import { COALESCE_BYTES_MAX } from './outbox.ts'
import { Upgrade, type UpgradeBook } from './upgrade.ts'
import { checkUpgrade, type UpgradeCheck, withProtocol } from './websocket/handshake.ts'

/** How long a client may be silent: between two requests, in the middle of a body, or not reading an answer. */
export const HTTP_SILENT_MS_MAX = 60_000

/** Bytes behind a request for an upgrade that are kept while the service decides: as many as a head has. Then no more are read. */
const AHEAD_BYTES_MAX = HEAD_BYTES_MAX
const MALFORMED = { status: 400, headers: {}, body: '' } as const
const RETRY = { 'Retry-After': '1' } as const

/** How requests become WebSockets. */
export interface UpgradeSide {
  readonly handler: WebSocketHandler
  /** What the connection speaks then. */
  readonly framing: (deflate: boolean) => FramingFactory
  readonly book: UpgradeBook
}

/** The listener's part: what is the same for all its connections. */
export interface HttpSide {
  readonly listener: FrozenHttp['listener']
  readonly permessageDeflate: boolean
  /** Undefined: nothing is answered but upgrades. */
  readonly handler: HttpHandler | undefined
  /** Gives the stream to the http.Server. */
  connect(stream: HttpStream): void
  /** A request got an answer that its service did not make. */
  readonly refused: (status: number) => void
  /** Only where the service has WebSockets. */
  readonly upgrades: UpgradeSide | undefined
}

/**
 *   idle ──first byte──▶ head ──complete──▶ body ──complete──▶ answer ──response closed──▶ idle
 *                         ├─upgrade──▶ over              └─response closed before──▶ idle
 *                         └─upgrade──▶ upgrade ──the service has decided──▶ over
 */
type HttpPhase = 'idle' | 'head' | 'body' | 'answer' | 'upgrade' | 'over'

/** The length of a body is not known. */
const CHUNKED = -1

export class HttpFraming implements Framing, HttpWire {
  readonly #connection: Connection
  readonly #side: HttpSide
  readonly #stream: HttpStream
  readonly #cut = new HeadEnd()
  /** What has come of a head that is not whole: it can move. */
  #head: Buffer | undefined
  #phase: HttpPhase = 'idle'
  /** Bytes of the body that have not come, or CHUNKED. */
  #bodyBytes = CHUNKED
  #request: IncomingMessage | undefined
  /** Until it is closed. */
  #response: ServerResponse | undefined
  /** The parser wants no more for now: nobody reads the body. */
  #held = false
  /** No further request is taken. */
  #last = false
  /** A request has come, ever. */
  #served = false
  #headTimer: TimerHandle | undefined
  /** The service decides on it. */
  #upgrade: Upgrade | undefined
  #upgraded: Framing | undefined

  /** `headMs`: the time that is left for the first head. */
  constructor(connection: Connection, side: HttpSide, headMs: number, frozen?: FrozenHttp) {
    this.#connection = connection
    this.#side = side
    this.#stream = new HttpStream(this)
    this.#served = frozen?.served ?? false
    if (!this.#served) this.#expectHead(headMs)
  }

  // ---- Framing: called by the connection --------------------------------------------------------------------------

  opened(): void {
    this.#connection.setTimeout(HTTP_SILENT_MS_MAX)
    this.#side.connect(this.#stream)
  }

  thawed({ http }: FrozenConnection): void {
    this.#side.connect(this.#stream)
    this.#connection.resume()
    if (http?.head !== undefined) this.push(Buffer.from(http.head), 0, http.head.length)
  }

  get wire(): Wire {
    return 'stream'
  }

  get movable(): boolean {
    return true
  }

  get settled(): boolean {
    return (this.#phase === 'idle' || this.#phase === 'head') && !this.#last
  }

  freeze(): FrozenFraming {
    this.#cancelHead()
    this.#phase = 'over'
    // Frees the parser.
    this.#stream.destroy()
    const frozen = { listener: this.#side.listener, served: this.#served }
    const http = this.#head === undefined ? frozen : { ...frozen, head: new Uint8Array(this.#head) }
    return { transport: 'http', state: undefined, http }
  }

  push(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end && this.#takes()) {
      const to =
        this.#phase === 'body' && this.#bodyBytes > 0
          ? Math.min(end, at + this.#bodyBytes)
          : this.#cut.find(bytes, at, end)
      this.#parse(bytes.subarray(at, to))
      at = to
      if (this.#upgraded !== undefined) {
        return this.#connection.paused ? at - start : at - start + this.#upgraded.push(bytes, at, end)
      }
    }
    if (at === end) return end - start
    // What comes behind the last request is read into nothing.
    if (this.#phase === 'over' || (this.#last && !this.#held)) return end - start
    // Who waits for an upgrade is read from, so that its end is seen.
    if (this.#phase !== 'upgrade' || end - at > AHEAD_BYTES_MAX) this.#connection.pause()
    return at - start
  }

  ended(): void {
    if (this.#phase === 'idle' || this.#phase === 'upgrade') {
      this.#giveUp()
      this.#connection.finish('client')
    } else {
      this.#last = true
      // In the middle of a request that is an error; behind one the answer is the last.
      this.#stream.emit('end')
    }
  }

  send(): void {
    // A response is the only thing to send.
  }

  shared(): boolean {
    return false
  }

  unframe(): void {
    // It moves between two answers: none is on its way.
  }

  closing(): void {
    // The handler speaks in responses.
  }

  close(_code: number, _text: string, reason: CloseReason): void {
    this.#giveUp()
    if (reason !== 'shutdown' && reason !== 'restart' && reason !== 'server') this.#connection.destroy(reason)
    else if (this.#phase === 'upgrade') this.#refuseWith(503, RETRY, '', reason)
    // Half a head is no request.
    else if (this.#phase === 'idle' || this.#phase === 'head') this.#connection.finish(reason)
    else this.#sayLast()
  }

  retire(): void {
    // It will be a WebSocket, and those stay.
    if (this.#phase === 'upgrade') return
    this.#connection.blame('restart')
    if (this.#phase === 'idle') this.#connection.finish('restart')
    else this.#sayLast()
  }

  writable(): void {
    this.#stream.emit('drain')
    this.#proceed()
  }

  timedOut(): void {
    if (this.#phase === 'idle') this.#connection.closeIdle()
    else if (this.#phase === 'body' && !this.#held) this.#refuse(408, 'idle_timeout')
    else if (this.#connection.bufferedBytes > 0) this.#connection.destroy('too_slow')
    // Otherwise it waits for us: for the handler, or with a timer of its own for the rest of a head.
  }

  closeIdle(): void {
    this.#connection.finish('idle_timeout')
  }

  lost(): void {
    this.#giveUp()
    this.#cancelHead()
    this.#phase = 'over'
    this.#stream.destroy()
  }

  // ---- called by the listener's http.Server -------------------------------------------------------------------------

  requested(request: IncomingMessage, response: ServerResponse): void {
    this.#began(request)
    const { handler } = this.#side
    if (handler === undefined) {
      this.#refuseUpgrade(checkUpgrade(request, false), request)
      return
    }
    this.#count(0)
    this.#response = response
    if (this.#last) response.shouldKeepAlive = false
    response.once('close', () => this.#answered(response))
    try {
      // It may be an async function.
      const result: unknown = handler(request, response)
      if (result instanceof Promise) result.catch((error: unknown) => this.#failed(request, response, error))
    } catch (error) {
      this.#failed(request, response, error)
    }
  }

  upgrade(request: IncomingMessage): void {
    this.#began(request)
    const connection = this.#connection
    const { permessageDeflate, upgrades } = this.#side
    const check = checkUpgrade(request, permessageDeflate)
    if (!check.accept || !request.complete || upgrades === undefined) {
      this.#refuseUpgrade(check, request)
      return
    }
    // From here on the service says how long anything may take.
    connection.setTimeout(0)
    if (upgrades.handler.upgrade === undefined) {
      this.#accept(upgrades, check, { accept: true })
      return
    }
    this.#phase = 'upgrade'
    this.#upgrade = new Upgrade(connection, upgrades.handler, upgrades.book, (answer, reason) => {
      if (answer.accept) this.#accept(upgrades, check, answer)
      else this.#refuseWith(answer.status, answer.headers ?? {}, answer.body, reason)
    })
    this.#upgrade.ask(request)
  }

  /** What came is no HTTP, or too much. */
  garbage(error: NodeJS.ErrnoException): void {
    this.#refuse(error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400, 'bad_request')
  }

  // ---- HttpWire: called by the stream -------------------------------------------------------------------------------

  get remote(): Connection['remote'] {
    return this.#connection.remote
  }

  get session(): string {
    return this.#connection.session
  }

  get encrypted(): boolean {
    return this.#connection.encrypted
  }

  get unsentBytes(): number {
    return this.#connection.congested ? this.#connection.bufferedBytes : 0
  }

  hold(): void {
    this.#held = true
  }

  goOn(): void {
    this.#held = false
    this.#proceed()
  }

  write(chunk: Uint8Array | string, encoding: BufferEncoding): boolean {
    const connection = this.#connection
    if (typeof chunk === 'string') {
      const bytes = Buffer.byteLength(chunk, encoding)
      if (bytes > COALESCE_BYTES_MAX) connection.writeShared(Buffer.from(chunk, encoding))
      else if (bytes > 0) {
        const at = connection.reserve(bytes)
        connection.loop.outbox.arena.write(chunk, at, encoding)
      }
    } else if (chunk.byteLength > COALESCE_BYTES_MAX) connection.writeShared(chunk)
    else if (chunk.byteLength > 0) connection.write(chunk)
    return !connection.congested
  }

  end(): void {
    this.#last = true
    this.#connection.finish('server')
  }

  drop(): void {
    this.#connection.destroy('server')
  }

  // ---- inside -------------------------------------------------------------------------------------------------------

  /** What has begun is taken. */
  #takes(): boolean {
    if (this.#held) return false
    if (this.#phase === 'head' || this.#phase === 'body') return true
    return this.#phase === 'idle' && !this.#last && !this.#connection.congested
  }

  /** Takes what had to wait. */
  #proceed(): void {
    if (this.#connection.paused && this.#takes()) this.#connection.resume()
  }

  #parse(bytes: Buffer): void {
    if (this.#phase === 'idle') {
      this.#phase = 'head'
      this.#request = undefined
      if (this.#headTimer === undefined) this.#expectHead(this.#connection.loop.limits.headTimeoutMs)
    } else if (this.#phase === 'body' && this.#bodyBytes > 0) {
      this.#bodyBytes -= bytes.length
      // That was all of it, if the parser thinks so too.
      if (this.#bodyBytes === 0) this.#bodyBytes = CHUNKED
    }
    this.#stream.feed(bytes)
    // What the bytes mean has been told in between, by `requested`, `upgrade` or `garbage`.
    if (this.#phase === 'head' && this.#request !== undefined) {
      this.#phase = 'body'
      this.#bodyBytes = Number(this.#request.headers['content-length'] ?? CHUNKED)
    }
    if (this.#phase === 'head') this.#head = Buffer.concat(this.#head === undefined ? [bytes] : [this.#head, bytes])
    if (this.#phase !== 'body' || this.#request?.complete !== true) return
    this.#cut.reset()
    this.#phase = 'answer'
    if (this.#response === undefined) this.#idle()
  }

  #began(request: IncomingMessage): void {
    this.#cancelHead()
    this.#head = undefined
    this.#request = request
    this.#served = true
  }

  #answered(response: ServerResponse): void {
    this.#response = undefined
    if (response.writableFinished) this.#count(1)
    // Before the end of the body the rest of it is read first.
    if (this.#phase === 'answer') this.#idle()
  }

  #idle(): void {
    this.#phase = 'idle'
    if (this.#last) this.#connection.finish('server')
    else {
      this.#proceed()
      this.#connection.lookAgain()
    }
  }

  #accept(
    { framing }: UpgradeSide,
    { response, deflate }: UpgradeCheck & { accept: true },
    { value, protocol }: UpgradeAnswer & { accept: true },
  ): void {
    const connection = this.#connection
    this.#phase = 'over'
    this.write(protocol === undefined ? response : withProtocol(response, protocol), 'latin1')
    // What came ahead is handled behind this turn, and behind `open`, which may pause it again.
    if (connection.paused) connection.resume()
    else connection.loop.defer(connection)
    this.#upgraded = connection.reframe(framing(deflate), value)
    connection.lookAgain()
  }

  /** A handshake that is none, or not as it has to be. */
  #refuseUpgrade(check: UpgradeCheck, { method }: IncomingMessage): void {
    const { status, headers, body } = check.accept ? MALFORMED : check
    this.#refuseWith(status, headers, method === 'HEAD' ? '' : body)
  }

  /** Nobody waits for the service's decision any more. */
  #giveUp(): void {
    this.#upgrade?.giveUp()
  }

  #sayLast(): void {
    this.#last = true
    if (this.#response?.headersSent === false) this.#response.shouldKeepAlive = false
  }

  #failed(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    // The client went away in the middle of its request, and the handler was reading it.
    if (error === request.errored) return
    this.#connection.loop.handlerFailed(this.#connection, error)
    if (response.writableEnded) return
    if (response.headersSent) this.#connection.destroy('handler_error')
    else response.writeHead(500, { Connection: 'close' }).end()
  }

  #refuse(status: number, reason: CloseReason): void {
    if (this.#response?.headersSent === true) this.#connection.destroy(reason)
    else this.#refuseWith(status, {}, '', reason)
  }

  #refuseWith(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string,
    reason: CloseReason = 'bad_request',
  ): void {
    this.#phase = 'over'
    if (reason !== 'server') this.#side.refused(status)
    this.write(responseOf(status, headers, body), 'utf8')
    this.#connection.finish(reason)
  }

  #count(direction: 0 | 1): void {
    this.#connection.loop.countMessage(this.#connection.service, direction)
  }

  #expectHead(ms: number): void {
    this.#headTimer = this.#connection.loop.wheel.schedule(ms, headMissing, this.#connection)
  }

  #cancelHead(): void {
    if (this.#headTimer !== undefined) this.#connection.loop.wheel.cancel(this.#headTimer)
    this.#headTimer = undefined
  }
}

function headMissing(connection: Connection): void {
  connection.destroy('head_timeout')
}
