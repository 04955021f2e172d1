// Services with HTTP for tests, loaded through `modules`: plain, over TLS, behind a proxy, with few connections. Beside
// requests they have WebSockets, and datagrams with session keys.
import { setTimeout as pause } from 'node:timers/promises'
import {
  defineService,
  requestTargetOf,
  type ServiceContext,
  type SessionKey,
  type UdpHandler,
} from '../../src/index.ts'
import type { HttpHandler } from '../../src/net/handler.ts'
import { pathSegmentsOf } from '../../src/net/head.ts'
import { remoteOf, sessionKeyOf } from '../../src/net/http-stream.ts'

const PIECE = Buffer.alloc(64 * 1024, 'x')

/** The first segment of the path, as in `/alice/where`. */
function sessionOfPath(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const [name = ''] = pathSegmentsOf(found.target) ?? []
  return name === '' ? { state: 'none' } : { state: 'key', key: `web:${name}` }
}

/** `key=alice`; some datagrams are unlucky. */
function sessionOfDatagram(datagram: Uint8Array, start: number, end: number): SessionKey {
  const text = Buffer.from(datagram.subarray(start, end)).toString()
  if (text === 'throw') throw new Error('on purpose')
  if (text === 'more') return { state: 'more' }
  return text.startsWith('key=') ? { state: 'key', key: `web:${text.slice('key='.length)}` } : { state: 'none' }
}

function httpOf({ shard }: ServiceContext<unknown>): HttpHandler {
  return async (request, response) => {
    const { address, port } = remoteOf(request)
    const [, command = '', argument = ''] = pathSegmentsOf(request.url ?? '/') ?? []
    if (command === 'slowly') await pause(Number(argument))
    if (command === 'much') {
      for (let left = Number(argument); left > 0; left--) response.write(PIECE)
      response.end()
      return
    }
    let body = ''
    for await (const chunk of request) body += String(chunk)
    response.setHeader('x-shard', shard.id)
    response.end(command === 'who' ? `${address} ${port} ${sessionKeyOf(request)}` : `${request.method} ${body}`)
  }
}

const udp = ({ shard }: ServiceContext<unknown>): UdpHandler => ({
  datagram: (peer) => void peer.send(Buffer.from(`${shard.id} ${peer.session}`)),
})

export const web = defineService({
  name: 'web',
  listeners: {
    http: { port: 0, sessionOf: sessionOfPath },
    ws: { port: 0 },
    udp: { port: 0, sessionOf: sessionOfDatagram },
  },
  start: (context) => ({
    http: httpOf(context),
    udp: udp(context),
    ws: { message: (connection, payload, isBinary) => void connection.send(payload, isBinary), thaw: () => {} },
  }),
})

export const secure = defineService({
  name: 'secure',
  listeners: { http: { port: 0 } },
  start: (context) => ({ http: httpOf(context) }),
})

export const proxied = defineService({
  name: 'proxied',
  listeners: { http: { port: 0 } },
  start: (context) => ({ http: httpOf(context) }),
})

export const narrow = defineService({
  name: 'narrow',
  listeners: { http: { port: 0 } },
  start: (context) => ({ http: httpOf(context) }),
})
