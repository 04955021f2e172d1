// What can go wrong, as one class: branch on `code`, show `message`.

/**
 * - `NOT_CONNECTED`: there is no open connection, or it ended before the answer came
 * - `REFUSED`: the server refused the handshake; `status` is its HTTP status, where the platform tells it
 * - `TIMEOUT`: no answer, or nothing to receive, in time
 * - `REPLY`: the server answered with an error; `retryAfterMs` when the rate limit was the reason
 * - `LIMIT`: too much is waiting already
 * - `BINARY_INVALID`: bytes that are no binary message, or do not fit into one
 * - `FRAME_INVALID`: what came, or should be sent, is no frame
 * - `HANDLER`: a handler threw; `cause` is what
 */
export type HubErrorCode =
  | 'NOT_CONNECTED'
  | 'REFUSED'
  | 'TIMEOUT'
  | 'REPLY'
  | 'LIMIT'
  | 'BINARY_INVALID'
  | 'FRAME_INVALID'
  | 'HANDLER'

export interface HubErrorDetails {
  readonly status?: number | undefined
  readonly closeCode?: number | undefined
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

export class HubError extends Error {
  readonly code: HubErrorCode
  readonly status: number | undefined
  readonly closeCode: number | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: HubErrorCode, message: string, details: HubErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'HubError'
    this.code = code
    this.status = details.status
    this.closeCode = details.closeCode
    this.retryAfterMs = details.retryAfterMs
  }
}
