// Server-sent events on one response of the admin endpoint.
import type { ServerResponse } from 'node:http'
import type { AdminEvents, AdminJson } from './admin-route.ts'

/** Unsent bytes beyond which a client is dropped that does not read. */
export const EVENT_STREAM_BYTES_MAX = 4 * 1024 * 1024
const KEEP_ALIVE_MS = 60_000

export class EventStream implements AdminEvents {
  readonly #response: ServerResponse

  constructor(response: ServerResponse) {
    this.#response = response
    response.socket?.setKeepAlive(true, KEEP_ALIVE_MS)
  }

  begin(): void {
    const response = this.#response
    if (response.headersSent || response.destroyed) return
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' })
    // A comment, so that the head leaves now.
    response.write(': listening\n\n')
  }

  send(data: string, event?: string): void {
    this.begin()
    const response = this.#response
    if (response.destroyed) return
    response.write(encodeEvent(data, event))
    if (response.writableLength > EVENT_STREAM_BYTES_MAX) response.destroy()
  }

  fail({ status, body }: AdminJson): void {
    const response = this.#response
    if (response.headersSent) {
      response.destroy()
      return
    }
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    response.end(JSON.stringify(body))
  }
}

/** As the HTML standard has it: each line of the data on a line of its own. */
export function encodeEvent(data: string, event?: string): string {
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`)
  return `${event === undefined ? '' : `event: ${event}\n`}${lines.join('')}\n`
}
