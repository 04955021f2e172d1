// One WebSocket from its handshake to its end. It hands on what arrives, parsed and in order, and tells its end once.
import { type BinaryMessage, binaryHandler } from './binary.ts'
import { type HubFrame, isObject, parseFrame } from './frame.ts'
import { type HandshakeWatch, watchHandshake } from './handshake-status.ts'
import { HubError } from './hub-error.ts'

/** The platform's WebSocket, or another one with its interface (`ws`). Only what all of them declare alike. */
export interface WebSocketLike {
  binaryType: string
  readonly bufferedAmount: number
  close(code?: number, reason?: string): void
}

export type WebSocketClass = new (url: string) => WebSocketLike

/** The rest of that interface, as it is used here. */
interface Socket extends WebSocketLike {
  addEventListener(type: string, listener: (event: never) => void): void
  send(data: string | Uint8Array<ArrayBuffer>): void
}

type SocketClose = Pick<SocketEnd, 'code' | 'reason'>

export interface SocketSink {
  frame(frame: HubFrame, characters: number): void
  binary(message: BinaryMessage): void
  /** What came was not understood, and is left out. */
  problem(error: HubError): void
  end(end: SocketEnd): void
}

export interface SocketEnd {
  /** 1006 when there was no close frame. */
  readonly code: number
  readonly reason: string
  /** The HTTP status of a refused handshake, where the platform tells it. */
  readonly status: number | undefined
}

/** Frames that wait while an earlier one is decompressed. More means that the hub sends faster than this client reads. */
const INBOX_FRAMES_MAX = 10_000
/** Unsent bytes beyond which `send` fails instead of queueing. */
const UNSENT_BYTES_MAX = 16 * 1024 ** 2
const CLOSE_MS_MAX = 5000
/** A client cannot say 1006: that it gave up is told with a code of its own, in the range that means come back. */
const CODE_LOST = 4000
const CODE_NONE = 1006

export class HubSocket {
  readonly #socket: Socket
  readonly #sink: SocketSink
  readonly #watch: HandshakeWatch
  /** What `ws` tells in words. */
  #problem = ''
  #ended: SocketEnd | undefined
  #inbox: (string | ArrayBuffer | SocketEnd)[] = []
  #inflating = false
  #timer: ReturnType<typeof setTimeout> | undefined

  /** Throws what the WebSocket class throws, for a bad URL for instance. */
  constructor(url: string, WebSocket: WebSocketClass, sink: SocketSink) {
    this.#sink = sink
    this.#watch = watchHandshake(url)
    try {
      this.#socket = new WebSocket(url) as Socket
    } catch (error) {
      this.#watch.end()
      throw error
    }
    this.#socket.binaryType = 'arraybuffer'
    this.#socket.addEventListener('open', () => this.#watch.end())
    this.#socket.addEventListener('message', ({ data }: { readonly data: string | ArrayBuffer }) => this.#take(data))
    this.#socket.addEventListener('error', ({ message }: { readonly message?: string }) => {
      this.#problem = message ?? ''
    })
    this.#socket.addEventListener('close', ({ code, reason }: SocketClose) => this.#close(code, reason))
  }

  /** Throws LIMIT. */
  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#socket.bufferedAmount > UNSENT_BYTES_MAX)
      throw new HubError('LIMIT', `More than ${UNSENT_BYTES_MAX} bytes are unsent`)
    this.#socket.send(data)
  }

  /** A polite good-bye, which the other side has five seconds to answer. */
  close(): void {
    this.#timer ??= setTimeout(() => this.#close(CODE_NONE, ''), CLOSE_MS_MAX)
    this.#socket.close(1000)
  }

  /** Gives up on it: ends at once, whatever the other side does. */
  drop(reason: string): void {
    this.#socket.close(CODE_LOST, reason)
    this.#close(CODE_NONE, reason)
  }

  #close(code: number, reason: string): void {
    if (this.#ended !== undefined) return
    clearTimeout(this.#timer)
    this.#watch.end()
    this.#ended = { code, reason, status: this.#watch.status ?? statusOf(this.#problem) }
    this.#take(this.#ended)
  }

  /** In order: behind a frame that is being decompressed everything waits. */
  #take(item: string | ArrayBuffer | SocketEnd): void {
    if (this.#ended !== undefined && item !== this.#ended) return
    if (!this.#inflating) this.#give(item)
    else if (this.#inbox.push(item) === INBOX_FRAMES_MAX) this.drop('too many frames wait')
  }

  #give(item: string | ArrayBuffer | SocketEnd): void {
    if (typeof item === 'string') {
      const frame = parseFrame(item)
      if (frame === undefined) this.#sink.problem(new HubError('FRAME_INVALID', 'A frame was no JSON object'))
      else this.#sink.frame(frame, item.length)
    } else if (item instanceof ArrayBuffer) this.#giveBinary(item)
    else this.#sink.end(item)
  }

  #giveBinary(bytes: ArrayBuffer): void {
    let message: BinaryMessage
    try {
      message = binaryHandler.parseMessage(bytes)
    } catch (error) {
      this.#sink.problem(error as HubError) // it throws nothing else
      return
    }
    if (message.type === 'COMPRESSED_JSON') void this.#inflate(message)
    else this.#sink.binary(message)
  }

  async #inflate(message: BinaryMessage): Promise<void> {
    this.#inflating = true
    try {
      const jsonData = await binaryHandler.readJson(message)
      // The hub compresses events. What an admin made and the hub passed on unchanged may be anything.
      if (isObject(jsonData) && typeof jsonData.channel === 'string') this.#sink.frame(jsonData, message.payload.length)
      else this.#sink.binary({ ...message, jsonData })
    } catch (error) {
      this.#sink.problem(error as HubError)
    }
    this.#inflating = false
    let given = 0
    // One of these may be compressed again, and then the rest waits again.
    while (!this.#inflating && given < this.#inbox.length) this.#give(this.#inbox[given++] as string)
    this.#inbox.splice(0, given)
  }
}

/** `ws` has no other place for it: "Unexpected server response: 403". */
function statusOf(problem: string): number | undefined {
  const [, digits] = / response: (\d{3})$/.exec(problem) ?? []
  return digits === undefined ? undefined : Number(digits)
}
