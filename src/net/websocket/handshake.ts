// The opening handshake, server side: an HTTP request in, the complete answer out. No sockets.
import { hash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { acceptsDeflate } from './extension.ts'

/** What is read of a request; an `IncomingMessage` fits. */
export interface HandshakeRequest {
  readonly method?: string | undefined
  readonly httpVersion?: string
  readonly headers: IncomingHttpHeaders
}

export type UpgradeCheck =
  | { readonly accept: true; readonly response: string; readonly deflate: boolean }
  | {
      readonly accept: false
      readonly status: 400 | 405 | 426
      readonly headers: Readonly<Record<string, string>>
      readonly body: string
    }

/** [RFC 6455 1.3] */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** 16 bytes in base64 [RFC 6455 4.1]. */
const KEY = /^[+/0-9A-Za-z]{22}==$/

const HEAD = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: '

/** Decides on an upgrade; `offerDeflate` is the service's setting. Without it extensions are not even parsed. */
export function checkUpgrade(request: HandshakeRequest, offerDeflate: boolean): UpgradeCheck {
  const { method, headers } = request
  if (method !== 'GET') return refuse(405, { Allow: 'GET' }, 'a WebSocket handshake is a GET request')
  if (!asksForWebSocket(headers) || !namesUpgrade(headers.connection)) {
    return refuse(426, { Upgrade: 'websocket', Connection: 'Upgrade' }, 'this is a WebSocket endpoint')
  }
  if (request.httpVersion === '1.0') return refuse(400, {}, 'a WebSocket handshake needs HTTP/1.1')
  const key = headers['sec-websocket-key']
  if (key === undefined || !KEY.test(key)) return refuse(400, {}, 'Sec-WebSocket-Key is missing or malformed')
  if (headers['sec-websocket-version'] !== '13') {
    return refuse(426, { 'Sec-WebSocket-Version': '13' }, 'the WebSocket version must be 13')
  }
  const extensions = offerDeflate ? headers['sec-websocket-extensions'] : undefined
  const deflate = extensions === undefined ? undefined : acceptsDeflate(extensions)
  if (deflate === 'malformed') return refuse(400, {}, 'Sec-WebSocket-Extensions is malformed')
  const accept = hash('sha1', key + GUID, 'base64')
  if (deflate === undefined) return { accept: true, response: `${HEAD}${accept}\r\n\r\n`, deflate: false }
  return {
    accept: true,
    response: `${HEAD}${accept}\r\nSec-WebSocket-Extensions: ${deflate}\r\n\r\n`,
    deflate: true,
  }
}

/** The Upgrade header of a handshake [RFC 6455 4.2.1]. */
export function asksForWebSocket({ upgrade }: IncomingHttpHeaders): boolean {
  return upgrade?.toLowerCase() === 'websocket'
}

/** The answer to a handshake, with a subprotocol selected. */
export function withProtocol(response: string, protocol: string): string {
  return `${response.slice(0, -'\r\n'.length)}Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`
}

/** Whether the client named the subprotocol: nothing else may be selected [RFC 6455 4.2.2]. */
export function offersProtocol(headers: IncomingHttpHeaders, protocol: string): boolean {
  const offered = headers['sec-websocket-protocol']?.split(',')
  return protocol !== '' && offered?.some((token) => token.trim() === protocol) === true
}

function namesUpgrade(connection: string | undefined): boolean {
  if (connection === undefined) return false
  if (connection === 'Upgrade') return true
  // Firefox sends "keep-alive, Upgrade".
  return connection.split(',').some((token) => token.trim().toLowerCase() === 'upgrade')
}

function refuse(status: 400 | 405 | 426, headers: Readonly<Record<string, string>>, body: string): UpgradeCheck {
  return { accept: false, status, headers, body: `${body}\n` }
}
