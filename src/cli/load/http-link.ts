// A keep-alive HTTP connection: the same request again and again, one at a time. An answer is right when its status is
// 2xx and its body complete.
import { ResponseSplitter } from './http-response.ts'
import type { Link, LinkAddress, LinkListener } from './link.ts'
import type { HttpPlan, LoadPlan } from './plan.ts'
import { TcpLink } from './tcp-link.ts'

export class HttpLink implements Link {
  readonly #tcp: TcpLink
  readonly #request: Buffer
  readonly #responses: ResponseSplitter
  readonly #listener: LinkListener
  #asked = 0
  #answers = 0
  /** Requests that were due while another one was on its way: their time counts from then. */
  #waiting = 0

  constructor(request: Buffer, timeoutMs: number, where: LinkAddress, listener: LinkListener) {
    this.#request = request
    this.#listener = listener
    this.#responses = new ResponseSplitter({ responded: (status) => this.#onResponse(status) })
    this.#tcp = new TcpLink(where, timeoutMs, {
      opened: () => listener.opened(),
      arrived: (bytes, end) => this.#onBytes(bytes, end),
      closed: (kind, detail) => listener.closed(kind, this.#responses.idle ? detail : 'in the middle of a response'),
    })
  }

  get bufferedBytes(): number {
    return this.#tcp.bufferedBytes + this.#waiting * this.#request.length
  }

  begin(): void {}

  /** What the generator would send does not matter: the request is always the same. */
  send(): void {
    if (this.#asked > this.#answers) this.#waiting++
    else this.#ask()
  }

  end(): void {}

  close(): void {
    this.#tcp.close()
  }

  #ask(): void {
    this.#asked++
    this.#tcp.write(this.#request)
  }

  #onBytes(bytes: Buffer, end: number): void {
    const problem = this.#asked === this.#answers ? 'a response to nothing' : this.#responses.push(bytes, end)
    if (problem === undefined) return
    this.#tcp.close()
    this.#listener.closed('closed', problem)
  }

  #onResponse(status: number): void {
    const sequence = this.#answers++
    if (this.#waiting > 0) {
      this.#waiting--
      this.#ask()
    }
    if (status >= 200 && status < 300) this.#listener.answered(sequence)
    else this.#listener.failed(sequence, 'failed', `HTTP ${status}`)
  }
}

/** The bytes of the request. */
export function requestOf({ host, port, path }: LoadPlan, { body, token }: HttpPlan): Buffer {
  const name = host.includes(':') ? `[${host}]` : host
  const lines = [
    `${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1`,
    `Host: ${name}:${port}`,
    'Accept: */*',
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    ...(body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]),
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`)
}
