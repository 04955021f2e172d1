// The WebSocket of one worker: open, or the reason why not; then messages, and one end.
import { WebSocket } from 'ws'

/** The proxy gives the token 5 s, and the subscription as long. */
const OPEN_MS_MAX = 15_000
const REFUSAL_CHARACTERS_MAX = 80

export interface ConnectionEvents {
  /** Text as it came. */
  message(text: string): void
  /** Once, after it was open, unless it was closed from here. */
  closed(code: number, reason: string): void
}

export type OpenOutcome =
  | { readonly kind: 'open' | 'late' | 'closed' }
  | { readonly kind: 'refused'; readonly status: number; readonly text: string }
  | { readonly kind: 'failed'; readonly reason: string }

export class WorkerConnection {
  readonly opening: Promise<OpenOutcome>
  readonly #websocket: WebSocket
  readonly #settle: (outcome: OpenOutcome) => void
  readonly #deadline: NodeJS.Timeout
  #state: 'opening' | 'open' | 'closing' | 'closed' = 'opening'

  constructor(url: string, token: string, events: ConnectionEvents) {
    const { promise, resolve } = Promise.withResolvers<OpenOutcome>()
    this.opening = promise
    this.#settle = resolve
    this.#websocket = new WebSocket(url, {
      headers: { Authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    })
    this.#deadline = setTimeout(() => this.#giveUp({ kind: 'late' }), OPEN_MS_MAX)
    this.#listen(events)
  }

  /** In good order, or at once when the peer does not answer in time. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#state === 'opening') this.#giveUp({ kind: 'closed' })
    if (this.#state === 'closed') return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#websocket.once('close', () => resolve())
    this.#state = 'closing'
    this.#websocket.close(1000)
    const timer = setTimeout(() => this.#websocket.terminate(), timeoutMs)
    await promise
    clearTimeout(timer)
  }

  #listen(events: ConnectionEvents): void {
    const websocket = this.#websocket
    websocket.on('open', () => {
      clearTimeout(this.#deadline)
      this.#state = 'open'
      this.#settle({ kind: 'open' })
    })
    websocket.on('message', (data: Buffer) => events.message(data.toString('utf8')))
    websocket.on('unexpected-response', (_request, response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text = (text + part).slice(0, REFUSAL_CHARACTERS_MAX)
      })
      response.on('close', () => this.#giveUp({ kind: 'refused', status: response.statusCode ?? 0, text }))
    })
    websocket.on('error', (error: NodeJS.ErrnoException) => {
      this.#giveUp({ kind: 'failed', reason: error.code ?? error.message })
    })
    websocket.on('close', (code, reason) => {
      const wasOpen = this.#state === 'open'
      this.#giveUp({ kind: 'failed', reason: `closed ${code}` })
      this.#state = 'closed'
      if (wasOpen) events.closed(code, reason.toString('utf8'))
    })
  }

  /** Only while it opens. */
  #giveUp(outcome: OpenOutcome): void {
    if (this.#state !== 'opening') return
    this.#state = 'closed'
    clearTimeout(this.#deadline)
    this.#settle(outcome)
    this.#websocket.terminate()
  }
}
