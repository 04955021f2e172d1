// Moving open TCP sockets between threads. The only module that touches `_handle`, which Node does not document:
// accepting without a net.Socket, detaching a socket from its handle, building one on a handle. A self-test at boot
// proves that the running Node still works this way; without it sockets move by the documented public way only.
import { once } from 'node:events'
import { connect, createServer, type Server, Socket } from 'node:net'
import { MessageChannel } from 'node:worker_threads'
import type { RemoteAddress } from './identity.ts'

/** libuv's TCP handle as far as Polyloop uses it; transferable with postMessage since Node 24.20 and 26.7. */
export interface TcpHandle {
  getpeername(out: { address?: string; port?: number }): number
  setNoDelay(enable: boolean): number
  setKeepAlive(enable: boolean, initialDelaySeconds: number): number
  /** Bytes given to libuv that the kernel has not taken. */
  readonly writeQueueSize?: number
  readStart(): number
  readStop(): number
  close(): void
  /** Of all reads so far. */
  readonly bytesRead: number
  /** Gets the bytes of one read, perhaps with room behind them; nothing at the end of the stream or after an error. */
  onread: (this: TcpHandle, bytes: ArrayBuffer | undefined) => void
}

interface SocketWithHandle {
  _handle: TcpHandle | null
}

interface ServerWithHandle {
  _handle: { onconnection: (status: number, handle?: TcpHandle) => void } | null
}

const KEEP_ALIVE_SECONDS = 60
const SELF_TEST_MS_MAX = 2_000

/**
 * Takes accepted handles from a listening server before Node builds a net.Socket on them: a connection that moves on
 * unread costs the acceptor no stream at all. `failed` gets libuv's error number, of which EMFILE is the likely one.
 */
export function takeHandles(
  server: Server,
  accept: (handle: TcpHandle) => void,
  failed: (status: number) => void,
): void {
  const listening = (server as unknown as ServerWithHandle)._handle
  if (listening === null || typeof listening.onconnection !== 'function') throw new TypeError('no listening handle')
  listening.onconnection = (status, handle) => {
    if (status === 0 && handle !== undefined) accept(handle)
    else failed(status)
  }
}

/**
 * Takes the listening handle out of a server that `takeHandles` was called on; it can be posted to another thread. What
 * connects meanwhile waits in the kernel. Undefined when the server is closed.
 */
export function detachListening(server: Server): TcpHandle | undefined {
  const holder = server as unknown as { _handle: (TcpHandle & { onconnection: unknown }) | null }
  const handle = holder._handle
  if (handle === null) return undefined
  handle.onconnection = () => {}
  holder._handle = null
  return handle
}

/** A server on a listening handle that came from another thread; call `takeHandles` on it next. */
export async function adoptListening(handle: TcpHandle): Promise<Server> {
  const server = createServer()
  server.listen(handle)
  await once(server, 'listening')
  return server
}

/** TCP_NODELAY and keepalive, as every accepted socket gets them. */
export function tune(handle: TcpHandle): void {
  handle.setNoDelay(true)
  handle.setKeepAlive(true, KEEP_ALIVE_SECONDS)
}

/** The peer's address; undefined when the peer is gone already. */
export function peerOf(handle: TcpHandle): RemoteAddress | undefined {
  const out: { address?: string; port?: number } = {}
  if (handle.getpeername(out) !== 0 || out.address === undefined || out.port === undefined) return undefined
  return { address: plainAddress(out.address), port: out.port }
}

const MAPPED = '::ffff:'

/** A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d: the same peer must have one name. */
export function plainAddress(address: string): string {
  return address.startsWith(MAPPED) && address.includes('.') ? address.slice(MAPPED.length) : address
}

/**
 * Reads from a handle that has no net.Socket: `onBytes` gets each read, undefined when the peer ended or was lost. A
 * head that comes in one piece then costs one callback instead of a stream.
 */
export function startReading(handle: TcpHandle, onBytes: (bytes: Uint8Array | undefined) => void): void {
  let before = handle.bytesRead
  handle.onread = (bytes) => {
    // A buffer that is nearly full is not cut to what was read, and what is behind it is anybody's memory.
    const length = handle.bytesRead - before
    before = handle.bytesRead
    onBytes(bytes === undefined ? undefined : new Uint8Array(bytes, 0, length))
  }
  handle.readStart()
}

export function stopReading(handle: TcpHandle): void {
  handle.readStop()
}

/** Takes the handle out of a socket, which is dead afterwards. Undefined when it was closed meanwhile. */
export function detach(socket: Socket): TcpHandle | undefined {
  const holder = socket as unknown as SocketWithHandle
  const handle = holder._handle
  if (handle === null || handle === undefined || socket.destroyed) return undefined
  handle.readStop()
  holder._handle = null
  socket.destroy()
  return handle
}

/**
 * Bytes of the writes under way that the kernel has not taken: it shrinks while one large write drains, which
 * `writableLength` does not show before the end.
 */
export function unsentBytesOf(socket: Socket): number {
  return (socket as unknown as SocketWithHandle)._handle?.writeQueueSize ?? 0
}

/** Called with `buffer[0, bytes)`; false stops reading until `socket.resume()`. */
export type ReadCallback = (bytes: number, buffer: Buffer) => boolean

/** A socket on a handle that reads into a shared buffer. */
export function adopt(handle: TcpHandle, buffer: Buffer, callback: ReadCallback): Socket {
  const options = { handle, allowHalfOpen: true, onread: { buffer, callback } }
  return new Socket(options as unknown as ConstructorParameters<typeof Socket>[0])
}

/**
 * Accepts a loopback connection, reads from it, moves it and echoes through it. False when this Node cannot.
 */
export async function selfTest(): Promise<boolean> {
  const server = createServer()
  const { port1, port2 } = new MessageChannel()
  const sockets: Socket[] = []
  const deadline = AbortSignal.timeout(SELF_TEST_MS_MAX)
  try {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening', { signal: deadline })
    const address = server.address()
    if (address === null || typeof address === 'string') return false
    takeHandles(
      server,
      (handle) => {
        startReading(handle, (head) => {
          stopReading(handle)
          port1.postMessage({ head, handle }, [handle as unknown as MessagePort])
        })
      },
      () => {},
    )
    port2.on('message', ({ head, handle }: { head: Uint8Array; handle: TcpHandle }) => {
      const second = adopt(handle, Buffer.alloc(64), (bytes, buffer) => {
        second.write(buffer.toString('latin1', 0, bytes))
        return true
      })
      sockets.push(second)
      second.write(head)
      second.resume()
    })
    const client = connect(address.port, '127.0.0.1')
    sockets.push(client)
    client.write('1')
    const [one] = (await once(client, 'data', { signal: deadline })) as [Buffer]
    client.write('2')
    const [two] = (await once(client, 'data', { signal: deadline })) as [Buffer]
    return `${one}${two}` === '12'
  } catch {
    // Whatever went wrong, the answer is the same: not on this Node.
    return false
  } finally {
    for (const socket of sockets) {
      socket.on('error', () => {}) // a leftover of the test; nobody waits for it
      socket.destroy()
    }
    port1.close()
    server.close()
  }
}
