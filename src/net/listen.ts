// Opening the sockets of a listener: `localhost` is two of them, and port 0 means the same free port on both.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { PolyloopError } from '../lib/errors.ts'

const FREE_PORT_TRIES = 10

export interface Opened<T> {
  readonly socket: T
  readonly host: string
  readonly port: number
}

/** `localhost` → both loopback addresses; anything else → itself. */
export function addressesOf(host: string): readonly string[] {
  return host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
}

/** Listens on every address of `host` with a server of its own. Throws LISTEN_FAILED. */
export function openServers(
  host: string,
  port: number,
  backlog: number,
  make: () => Server,
): Promise<Opened<Server>[]> {
  return openAll(host, port, async (address, wanted) => {
    const server = make()
    server.listen({ host: address, port: wanted, backlog, ipv6Only: address === '::1' })
    await opened(server, server)
    return { socket: server, host: address, port: (server.address() as AddressInfo).port }
  })
}

/**
 * Binds a UDP socket to every address of `host`. Throws LISTEN_FAILED, also when the port is taken; unless `beside`, when
 * a socket of this process has it: the new one is bound beside that, so that no datagram finds the port closed.
 */
export function openDatagramSockets(host: string, port: number, beside = false): Promise<Opened<DatagramSocket>[]> {
  return openAll(host, port, async (address, wanted) => {
    // Sockets that share a port all have to say so; only one that does not finds out that the port is taken.
    const free = beside ? wanted : await freePort(address, wanted)
    const socket = await bind(address, free, true)
    return { socket, host: address, port: socket.address().port }
  })
}

async function freePort(address: string, wanted: number): Promise<number> {
  const probe = await bind(address, wanted, false)
  const { port } = probe.address()
  const closed = once(probe, 'close')
  probe.close()
  await closed
  return port
}

async function bind(address: string, port: number, reusePort: boolean): Promise<DatagramSocket> {
  const type = address.includes(':') ? 'udp6' : 'udp4'
  // Only Linux shares datagrams out among such sockets; elsewhere a reload leaves a moment without a socket.
  const socket = createSocket({
    type,
    ipv6Only: address === '::1',
    reusePort: reusePort && process.platform === 'linux',
  })
  socket.bind({ address, port })
  await opened(socket, socket)
  return socket
}

async function opened(socket: Server | DatagramSocket, closer: { close(): unknown }): Promise<void> {
  try {
    await once(socket as Server, 'listening')
  } catch (error) {
    try {
      closer.close()
    } catch {
      // It was never open.
    }
    throw error
  }
}

async function openAll<T extends { close(): unknown }>(
  host: string,
  port: number,
  open: (address: string, port: number) => Promise<Opened<T>>,
): Promise<Opened<T>[]> {
  for (let attempt = 1; ; attempt++) {
    const all: Opened<T>[] = []
    try {
      for (const address of addressesOf(host)) {
        try {
          all.push(await open(address, all[0]?.port ?? port))
        } catch (error) {
          // A machine without IPv6 serves `localhost` on IPv4 alone.
          const absent = codeOf(error) === 'EADDRNOTAVAIL' || codeOf(error) === 'EAFNOSUPPORT'
          if (!absent || all.length === 0) throw error
        }
      }
      return all
    } catch (error) {
      for (const { socket } of all) socket.close()
      // The port that was free on one address is taken on the other: another one may be free on both.
      if (port === 0 && codeOf(error) === 'EADDRINUSE' && attempt < FREE_PORT_TRIES) continue
      throw new PolyloopError('LISTEN_FAILED', { host, port, reason: codeOf(error) ?? String(error) }, { cause: error })
    }
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
