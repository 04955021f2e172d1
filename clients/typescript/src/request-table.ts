// Requests that wait for the reply with their id, each with a deadline.
import type { HubFrame } from './frame.ts'
import { HubError } from './hub-error.ts'

const REQUESTS_MAX = 1000
const REQUEST_MS_MAX = 10_000
/** Marks ids as ours: a reply that is late is dropped, not taken for one to a frame that the user sent. */
const PREFIX = 'nws-'

/**
 * Called once, with the reply or the error. At once when the reply comes, before the frame behind it is looked at:
 * a promise would be too late when both arrived together.
 */
export type Settle = (reply: HubFrame | HubError) => void

interface Pending {
  readonly settle: Settle
  readonly timer: ReturnType<typeof setTimeout>
}

export class RequestTable {
  readonly #pending = new Map<string, Pending>()
  #count = 0

  /** `send` gets the id. What it throws, a full table, an error reply and the deadline settle with an error. */
  ask(send: (id: string) => void, settle: Settle, deadlineMs = REQUEST_MS_MAX): void {
    if (this.#pending.size >= REQUESTS_MAX) {
      settle(new HubError('LIMIT', 'Too many requests are waiting'))
      return
    }
    const id = `${PREFIX}${++this.#count}`
    const expire = (): void => this.#take(id)?.settle(new HubError('TIMEOUT', `No reply in ${deadlineMs} ms`))
    this.#pending.set(id, { settle, timer: setTimeout(expire, deadlineMs) })
    try {
      send(id)
    } catch (error) {
      this.#take(id)?.settle(error as HubError) // the client throws nothing else
    }
  }

  /** True if the frame was a reply to a request of this table, waiting or given up. */
  settle(frame: HubFrame): boolean {
    const { id } = frame
    if (typeof id !== 'string' || !id.startsWith(PREFIX)) return false
    this.#take(id)?.settle(frame.type === 'error' ? replyError(frame) : frame)
    return true
  }

  fail(error: HubError): void {
    for (const id of this.#pending.keys()) this.#take(id)?.settle(error)
  }

  #take(id: string): Pending | undefined {
    const pending = this.#pending.get(id)
    clearTimeout(pending?.timer)
    this.#pending.delete(id)
    return pending
  }
}

function replyError({ message, retry_after: retryAfter }: HubFrame): HubError {
  const retryAfterMs = typeof retryAfter === 'number' ? retryAfter * 1000 : undefined
  const text = typeof message === 'string' ? message : 'The server answered with an error'
  return new HubError('REPLY', text, { retryAfterMs })
}
