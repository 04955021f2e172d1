// What Node's http.Server takes for a socket: the bytes of a connection, without a socket. Reads nothing by itself; the
// framing hands it what the parser shall see. Writes go to the connection's output at once and are never queued here.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import type { RemoteAddress } from './identity.ts'
import { peerKey } from './session-key.ts'

type Callback = (error?: Error | null) => void

/** The other end of the stream. */
export interface HttpWire {
  readonly remote: RemoteAddress
  readonly session: string
  readonly encrypted: boolean
  /** What a writer has to wait for. */
  readonly unsentBytes: number
  /** The parser takes no more for now, and again. */
  hold(): void
  goOn(): void
  /** False: more than `net.sendBuffer.high` is unsent; 'drain' follows. */
  write(chunk: Uint8Array | string, encoding: BufferEncoding): boolean
  /** Everything written is sent, then the connection ends. */
  end(): void
  /** The connection ends now. */
  drop(): void
  /** What the http.Server makes of the bytes. */
  requested(request: IncomingMessage, response: ServerResponse): void
  upgrade(request: IncomingMessage): void
  garbage(error: NodeJS.ErrnoException): void
}

export class HttpStream extends Duplex {
  readonly wire: HttpWire

  constructor(wire: HttpWire) {
    super({ allowHalfOpen: true })
    this.wire = wire
  }

  /** For the parser: synchronously, and `bytes` need not stay as they are. */
  feed(bytes: Uint8Array): void {
    this.emit('data', bytes)
  }

  // ---- what http.Server, frameworks and handlers ask of a socket -----------------------------------------------------

  get remoteAddress(): string {
    return this.wire.remote.address
  }

  get remotePort(): number {
    return this.wire.remote.port
  }

  get remoteFamily(): string {
    return this.remoteAddress.includes(':') ? 'IPv6' : 'IPv4'
  }

  get encrypted(): boolean {
    return this.wire.encrypted
  }

  override pause(): this {
    this.wire.hold()
    return this
  }

  override resume(): this {
    this.wire.goOn()
    return this
  }

  override _read(): void {
    // Bytes come when they come.
  }

  override write(
    chunk: Uint8Array | string,
    encoding?: BufferEncoding | Callback | null,
    callback?: Callback | null,
  ): boolean {
    const written = typeof encoding === 'function' ? encoding : callback
    const taken = this.wire.write(chunk, typeof encoding === 'string' ? encoding : 'utf8')
    if (typeof written === 'function') process.nextTick(written)
    return taken
  }

  override end(chunk?: unknown, encoding?: unknown): this {
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) {
      this.wire.write(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
    }
    this.wire.end()
    return this
  }

  destroySoon(): void {
    this.wire.end()
  }

  override _destroy(_error: Error | null, callback: Callback): void {
    this.wire.drop()
    // Not an event: nobody could do anything about it.
    callback()
  }

  // The runtime does all of this for every connection.

  setTimeout(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }
}

// A response says 'drain' when this is 0, which must not happen in the middle of its `end`: it is corked then. On the
// prototype, because it is declared as a property, which TypeScript would not have overridden by an accessor.
Object.defineProperty(HttpStream.prototype, 'writableLength', {
  get(this: HttpStream): number {
    return this.writableCorked > 0 ? Math.max(1, this.wire.unsentBytes) : this.wire.unsentBytes
  },
})

export function wireOf(socket: Duplex): HttpWire | undefined {
  return socket instanceof HttpStream ? socket.wire : undefined
}

/** The client that sent a request: behind a proxy with a PROXY header the real one. */
export function remoteOf({ socket }: IncomingMessage): RemoteAddress {
  return { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
}

/** The session key that the request's connection was placed by: what its first request said. */
export function sessionKeyOf(request: IncomingMessage): string {
  const wire = wireOf(request.socket)
  if (wire !== undefined) return wire.session
  const { address, port } = remoteOf(request)
  return peerKey(address, port)
}
