// A WebSocket handshake while its service decides. Holds the service's answer against what became of the client in the
// meantime, and the number of handshakes that wait to a limit. Knows no bytes.
//
//   waiting ──answer──▶ decided                 what comes behind `giveUp` is nobody's: an accepted value is `abandoned`
//      └─────giveUp──▶ given up ──answer──▶ ·
import { type IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http'
import type { CloseReason } from '../observe/family.ts'
import type { Connection } from './connection.ts'
import type { UpgradeAnswer, UpgradeRequest, WebSocketHandler } from './handler.ts'
import { offersProtocol } from './websocket/handshake.ts'

/**
 * Handshakes of a shard that wait for their services; beyond it 503. At about 9 KiB each (measured, short heads), and room
 * for a crowd that comes back all at once.
 */
export const UPGRADES_WAITING_MAX = 8_192

const BUSY: UpgradeAnswer = { accept: false, status: 503, headers: { 'Retry-After': '1' }, body: 'Too many handshakes' }
const FAILED: UpgradeAnswer = { accept: false, status: 500, body: 'Internal server error' }

/** What the handshakes of a shard share. */
export interface UpgradeBook {
  /** Of which the service has not answered, whether or not the client is still there. */
  waiting: number
}

/** Told at most once. `reason`: why the connection ends, if it is refused. */
export type UpgradeDecided = (answer: UpgradeAnswer, reason: CloseReason) => void

export class Upgrade {
  readonly #connection: Connection
  readonly #handler: WebSocketHandler
  readonly #book: UpgradeBook
  readonly #controller = new AbortController()
  /** Undefined: nobody needs the answer any more. */
  #decided: UpgradeDecided | undefined

  constructor(connection: Connection, handler: WebSocketHandler, book: UpgradeBook, decided: UpgradeDecided) {
    this.#connection = connection
    this.#handler = handler
    this.#book = book
    this.#decided = decided
  }

  /** May be decided before this returns. */
  ask(request: IncomingMessage): void {
    if (this.#book.waiting >= UPGRADES_WAITING_MAX) {
      this.#decide(BUSY, 'limit')
      return
    }
    const { remote, session } = this.#connection
    const { url: target = '', headers } = request
    try {
      const answer = this.#handler.upgrade?.({ target, headers, remote, session, signal: this.#controller.signal })
      if (answer instanceof Promise) this.#wait(answer, headers)
      else this.#answered(answer, headers)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** The client is gone, or shall go. */
  giveUp(): void {
    if (this.#decided === undefined) return
    this.#decided = undefined
    this.#controller.abort()
  }

  #wait(answer: Promise<UpgradeAnswer>, headers: UpgradeRequest['headers']): void {
    this.#book.waiting++
    answer.then(
      (settled) => this.#settled(() => this.#answered(settled, headers)),
      (error: unknown) => this.#settled(() => this.#failed(error)),
    )
  }

  #settled(run: () => void): void {
    this.#book.waiting--
    const { loop } = this.#connection
    loop.enterTurn()
    try {
      run()
    } catch (error) {
      this.#failed(error)
    }
    loop.leaveTurn()
  }

  #answered(answer: UpgradeAnswer | undefined, headers: UpgradeRequest['headers']): void {
    if (this.#decided !== undefined) {
      const problem = problemOf(answer, headers)
      if (answer !== undefined && problem === undefined) {
        this.#decide(answer, 'server')
        return
      }
      this.#failed(problem)
    }
    if (answer?.accept === true) this.#handler.abandoned?.(answer.value)
  }

  #failed(error: unknown): void {
    // That is what the signal is for.
    if (this.#controller.signal.aborted && error === this.#controller.signal.reason) return
    this.#connection.loop.handlerFailed(this.#connection, error)
    this.#decide(FAILED, 'handler_error')
  }

  #decide(answer: UpgradeAnswer, reason: CloseReason): void {
    const decided = this.#decided
    this.#decided = undefined
    decided?.(answer, reason)
  }
}

/** What a service answers comes from its author, and parts of it from elsewhere: no header of it may end up as two. */
function problemOf(answer: UpgradeAnswer | undefined, headers: UpgradeRequest['headers']): TypeError | undefined {
  if (answer === undefined) return new TypeError('upgrade gave no answer')
  if (answer.accept) {
    if (answer.protocol === undefined || offersProtocol(headers, answer.protocol)) return undefined
    return new TypeError('upgrade selected a subprotocol that the client has not offered')
  }
  const { status } = answer
  if (!Number.isInteger(status) || status < 300 || status > 599) return new TypeError(`upgrade refused with ${status}`)
  for (const [name, value] of Object.entries(answer.headers ?? {})) {
    validateHeaderName(name)
    validateHeaderValue(name, value)
  }
  return undefined
}
