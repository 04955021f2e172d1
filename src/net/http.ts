// What answers of our own to HTTP requests look like, and how long a request's head may be.
import { STATUS_CODES } from 'node:http'

/** Bytes of a request head, as in Apache and nginx. */
export const HEAD_BYTES_MAX = 16 * 1024

/** A whole response, the last on its connection. */
export function responseOf(status: number, headers: Readonly<Record<string, string>>, body: string): string {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`]
  for (const [name, value] of Object.entries(closingHeaders(headers, body))) lines.push(`${name}: ${value}`)
  lines.push('', body)
  return lines.join('\r\n')
}

function closingHeaders(headers: Readonly<Record<string, string>>, body: string): Record<string, string | number> {
  return {
    ...headers,
    Connection: headers.Upgrade === undefined ? 'close' : 'close, Upgrade',
    'Content-Type': 'text/plain',
    'Content-Length': Buffer.byteLength(body),
  }
}
