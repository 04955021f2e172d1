// Opens the admin server's sockets: one address, or for `localhost` both loopback addresses on one port, because a
// `listen('localhost')` may bind a single family.
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PolyloopError } from '../lib/errors.ts'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface HttpListeners {
  /** What is bound, with real ports. */
  readonly addresses: readonly ListenAddress[]
  /** Stops accepting, lets requests under way finish, then drops what is left. */
  close(): Promise<void>
}

export const ADMIN_CONNECTIONS_MAX = 256
export const ADMIN_HEAD_BYTES_MAX = 16 * 1024
const HEAD_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_MS = 60_000
const CLOSE_GRACE_MS = 1000
/** How often a port that was free on 127.0.0.1 may turn out to be taken on ::1. */
const PORT_ATTEMPTS_MAX = 5

/** Port 0 takes a free one. Fails with LISTEN_FAILED; a machine without IPv6 gets 127.0.0.1 only. */
export async function openHttpListeners(host: string, port: number, listener: RequestListener): Promise<HttpListeners> {
  if (host !== 'localhost') return listenersOf([await open(host, port, listener)])
  for (let attempt = 1; ; attempt++) {
    const ipv4 = await open('127.0.0.1', port, listener)
    try {
      return listenersOf([ipv4, await open('::1', portOf(ipv4), listener)])
    } catch (error) {
      const code = error instanceof PolyloopError ? error.details.code : undefined
      if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return listenersOf([ipv4])
      await closed(ipv4)
      if (port !== 0 || code !== 'EADDRINUSE' || attempt === PORT_ATTEMPTS_MAX) throw error
    }
  }
}

function open(host: string, port: number, listener: RequestListener): Promise<Server> {
  const server = createServer(
    {
      maxHeaderSize: ADMIN_HEAD_BYTES_MAX,
      headersTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    listener,
  )
  server.maxConnections = ADMIN_CONNECTIONS_MAX
  const { promise, resolve, reject } = Promise.withResolvers<Server>()
  server.once('error', (cause: NodeJS.ErrnoException) => {
    reject(new PolyloopError('LISTEN_FAILED', { service: 'admin', host, port, code: cause.code }, { cause }))
  })
  server.listen({ host, port }, () => resolve(server))
  return promise
}

function listenersOf(servers: readonly Server[]): HttpListeners {
  return {
    addresses: servers.map((server) => ({ host: addressOf(server).address, port: portOf(server) })),
    close: async () => {
      await Promise.all(servers.map(closed))
    },
  }
}

async function closed(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
  await promise
  clearTimeout(timer)
}

function addressOf(server: Server): AddressInfo {
  return server.address() as AddressInfo // it listens on TCP: never a string or null
}

function portOf(server: Server): number {
  return addressOf(server).port
}
