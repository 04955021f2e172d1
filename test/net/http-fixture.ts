// HTTP connections on loops with a manual clock: requests as bytes, and what came back.
import type { Socket } from 'node:net'
import type { Connection } from '../../src/net/connection.ts'
import { DEFAULT_LIMITS } from '../../src/net/event-loop.ts'
import type { HttpHandler } from '../../src/net/handler.ts'
import type { CloseReason } from '../../src/observe/family.ts'
import { closedColumn, figureOf, serviceColumn } from '../../src/observe/figure.ts'
import { Received } from './loop-fixture.ts'
import type { MoveFixture } from './move-fixture.ts'

export const HEAD_MS = DEFAULT_LIMITS.headTimeoutMs
export const ROW = 8
/** A timer is never early, and so much late. */
export const TICK_MS = 250

/** Answers with what was asked, when the body is there. */
export const echo: HttpHandler = (request, response) => {
  let body = ''
  request.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1')
  })
  request.on('end', () => response.end(`${request.method} ${request.url} ${body}`))
}

export function get(path: string, more = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
}

export function post(path: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

export function chunked(path: string, ...chunks: string[]): string {
  const all = [...chunks, ''].map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')
  return `PUT ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${all}`
}

/** The bodies of all responses so far. */
export function bodiesOf(text: string): string[] {
  const bodies: string[] = []
  for (let at = 0; ; ) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end === -1) return bodies
    const bytes = Number(/content-length: (\d+)/i.exec(text.slice(at, end))?.[1] ?? 0)
    if (text.length < end + 4 + bytes) return bodies
    bodies.push(text.slice(end + 4, end + 4 + bytes))
    at = end + 4 + bytes
  }
}

export function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))
}

export async function open(
  fixture: MoveFixture,
): Promise<{ client: Socket; connection: Connection<never>; received: Received; bodies: () => string[] }> {
  const { client, connection } = await fixture.pair<never>({ session: 'chat:1' })
  client.on('error', () => {}) // some are reset
  const received = new Received(client)
  return { client, connection, received, bodies: () => bodiesOf(received.text) }
}

export function closedFor(fixture: MoveFixture, reason: CloseReason): number {
  return figureOf(fixture.table.row(ROW), closedColumn(reason))
}

export function figure(fixture: MoveFixture, name: 'opened' | 'closed' | 'messagesIn' | 'messagesOut'): number {
  return figureOf(fixture.table.row(ROW), serviceColumn(0, name))
}
