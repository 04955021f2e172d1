// A connection of a tool to a hub: opens it, hands out what comes, and ends once. Knows nothing of what is printed.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { printable } from '../chat-packet.ts'
import { type Frame, parseBinaryFrame, parseFrame } from './frame.ts'
import type { HubTarget } from './target.ts'

/** For the handshake, and for the first frame. */
const OPEN_MS_MAX = 15_000
const CLOSE_MS_MAX = 2_000
const ANSWER_MS_MAX = 10_000
const REFUSAL_BYTES_MAX = 1_024
const WAITING_MAX = 1_024
/** Unsent bytes above which `room` waits, looking so often. */
const UNSENT_BYTES_MAX = 256 * 1024
const ROOM_POLL_MS = 10
/** A binary message of the hub, and its head. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024 + 64 * 1024
/** Ends that are no failure: one side was done, or the server shuts down. */
const GOOD_CODES: ReadonlySet<number> = new Set([1000, 1001])

export interface ConnectionEnd {
  readonly code: number
  readonly reason: string
  readonly isGood: boolean
}

export interface ConnectionOptions {
  readonly signal: AbortSignal
  /** Every frame, the first one included; undefined: it is none that a hub sends. `raw` is what came. */
  received?(frame: Frame | undefined, raw: Buffer, isBinary: boolean): void
  sent?(text: string): void
}

/** It did not open, or an answer did not come: for people. */
export class HubFailure extends Error {}

interface Waiting {
  readonly id: string
  readonly resolve: (frame: Frame) => void
  readonly reject: (error: HubFailure) => void
  readonly timer: NodeJS.Timeout
}

export class HubConnection implements AsyncDisposable {
  readonly ended: Promise<ConnectionEnd>
  /** The first frame. */
  welcome: Frame = {}
  readonly #websocket: WebSocket
  readonly #options: ConnectionOptions
  readonly #interrupt: () => void
  readonly #waiting: Waiting[] = []
  #next = 0

  private constructor({ url, token }: HubTarget, options: ConnectionOptions) {
    this.#options = options
    this.#websocket = new WebSocket(url, {
      headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
      maxPayload: FRAME_BYTES_MAX,
      perMessageDeflate: false,
    })
    this.#interrupt = () => void this.close()
    const { promise, resolve } = Promise.withResolvers<ConnectionEnd>()
    this.ended = promise
    this.#websocket.on('message', (data: Buffer, isBinary: boolean) => this.#received(data, isBinary))
    this.#websocket.on('close', (code, reason) => {
      const end = { code, reason: printable(reason.toString('utf8')), isGood: GOOD_CODES.has(code) }
      options.signal.removeEventListener('abort', this.#interrupt)
      for (const { reject, timer } of this.#waiting.splice(0)) {
        clearTimeout(timer)
        reject(new HubFailure(closedText(end)))
      }
      resolve(end)
    })
  }

  /** Open, and welcomed. Rejects with a HubFailure. */
  static async open(target: HubTarget, options: ConnectionOptions): Promise<HubConnection> {
    const connection = new HubConnection(target, options)
    await connection.#opened()
    return connection
  }

  get isOpen(): boolean {
    return this.#websocket.readyState === WebSocket.OPEN
  }

  send(type: string, members: object = {}): void {
    this.sendText(JSON.stringify({ type, ...members }))
  }

  /** Throws a HubFailure when it is not open. */
  sendText(text: string): void {
    if (!this.isOpen) throw new HubFailure('not connected')
    this.#options.sent?.(text)
    this.#websocket.send(text)
  }

  /** The reply, an error included. Rejects with a HubFailure when there is none. */
  ask(type: string, members: object = {}): Promise<Frame> {
    if (this.#waiting.length >= WAITING_MAX) return Promise.reject(new HubFailure('too many requests wait'))
    const id = `cli-${++this.#next}`
    const { promise, resolve, reject } = Promise.withResolvers<Frame>()
    try {
      this.send(type, { ...members, id })
    } catch (error) {
      return Promise.reject(error)
    }
    const timer = setTimeout(() => {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
      reject(new HubFailure(`no answer to ${type}`))
    }, ANSWER_MS_MAX)
    const waiting: Waiting = { id, resolve, reject, timer }
    this.#waiting.push(waiting)
    return promise
  }

  /** The network takes more; or it never will. */
  async room(): Promise<void> {
    while (this.isOpen && this.#websocket.bufferedAmount > UNSENT_BYTES_MAX) await sleep(ROOM_POLL_MS)
  }

  /** What comes waits, until `resume`. */
  pause(): void {
    if (this.isOpen) this.#websocket.pause()
  }

  resume(): void {
    if (this.isOpen) this.#websocket.resume()
  }

  /** With 1000; a server that does not answer is left. */
  async close(): Promise<void> {
    if (this.isOpen) {
      // The answer would wait behind what nobody reads.
      this.#websocket.resume()
      this.#websocket.close(1000)
    } else if (this.#websocket.readyState === WebSocket.CONNECTING) this.#websocket.terminate()
    const timer = setTimeout(() => this.#websocket.terminate(), CLOSE_MS_MAX)
    await this.ended
    clearTimeout(timer)
  }

  /** As if the network had failed. */
  async cut(): Promise<void> {
    this.#websocket.terminate()
    await this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #opened(): Promise<void> {
    const { signal } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const fail = (reason: string): void => {
      reject(new HubFailure(reason))
      this.#websocket.terminate()
    }
    const timer = setTimeout(() => fail('no answer'), OPEN_MS_MAX)
    signal.addEventListener('abort', this.#interrupt)
    this.#websocket.on('error', (error) => reject(new HubFailure(error.message || 'no connection')))
    this.#websocket.on('unexpected-response', (_request, response) => {
      void refusalOf(response).then((text) => fail(`refused with ${response.statusCode} ${text}`.trimEnd()))
    })
    this.#websocket.once('message', () => resolve())
    void this.ended.then((end) => reject(new HubFailure(closedText(end))))
    try {
      if (signal.aborted) fail('interrupted')
      await promise
    } finally {
      clearTimeout(timer)
    }
    const { type } = this.welcome
    if (type === 'connected') return
    this.#websocket.terminate()
    throw new HubFailure(`this is no hub: its first frame is ${printable(JSON.stringify(type ?? null))}`)
  }

  #received(raw: Buffer, isBinary: boolean): void {
    const frame = isBinary ? parseBinaryFrame(raw) : parseFrame(raw.toString('utf8'))
    if (this.welcome.type === undefined && frame !== undefined) this.welcome = frame
    const index = this.#waiting.findIndex(({ id }) => id === frame?.id)
    const [waiting] = index < 0 ? [] : this.#waiting.splice(index, 1)
    this.#options.received?.(frame, raw, isBinary)
    if (waiting === undefined || frame === undefined) return
    clearTimeout(waiting.timer)
    waiting.resolve(frame)
  }
}

export function closedText({ code, reason }: ConnectionEnd): string {
  return `closed with ${code} ${reason}`.trimEnd()
}

/** What an HTTP refusal says. */
async function refusalOf(response: IncomingMessage): Promise<string> {
  let text = ''
  response.setEncoding('utf8')
  response.on('data', (part: string) => {
    text = (text + part).slice(0, REFUSAL_BYTES_MAX)
  })
  response.on('error', () => {}) // What came of it is enough.
  await once(response, 'close')
  return printable(text)
}
