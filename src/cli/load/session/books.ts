// What all workers of a load test of the session proxy count together. Pure.

import { PolyloopError } from '../../../lib/errors.ts'
import { problemOf } from '../../problem.ts'

export const WORKER_ERRORS = {
  timeouts: 'Timeouts',
  http504: 'HTTP 504',
  http500: 'HTTP 500',
  otherHttp: 'Other HTTP',
  other: 'Other',
} as const satisfies Record<string, string>

export type WorkerError = keyof typeof WORKER_ERRORS

/** Different texts that are told apart; the rest is `other`. */
const DETAILS_MAX = 16
const DETAIL_CHARACTERS_MAX = 120

export class SessionBooks {
  /** Connections: open now, and ever. */
  open = 0
  opened = 0
  /** Handed to Redis, and taken by it; or heard of although nobody knows whether it took them. */
  attempts = 0
  successes = 0
  sent = 0
  received = 0
  /** Notices of the proxy that messages may be missing. */
  gaps = 0
  readonly drain = { needed: 0, completed: 0, closedEarly: 0, timedOut: 0 }
  readonly errors: Record<WorkerError, number> = { timeouts: 0, http504: 0, http500: 0, otherHttp: 0, other: 0 }
  /** Of each received message. */
  readonly latenciesNs: number[] = []
  readonly #details = new Map<string, number>()

  get errorCount(): number {
    return Object.values(this.errors).reduce((sum, count) => sum + count, 0)
  }

  get missing(): number {
    return this.sent - this.received
  }

  get details(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#details)
  }

  fail(kind: WorkerError, detail: string): void {
    this.errors[kind]++
    const text = detail.slice(0, DETAIL_CHARACTERS_MAX)
    const name = this.#details.has(text) || this.#details.size < DETAILS_MAX ? text : 'other'
    this.#details.set(name, (this.#details.get(name) ?? 0) + 1)
  }

  /** A handshake that was answered with something else than 101. */
  refused(status: number, text: string): void {
    const kind = status === 504 ? 'http504' : status === 500 ? 'http500' : 'otherHttp'
    this.fail(kind, `HTTP ${status} ${text}`.trimEnd())
  }

  /** A call that Redis did not answer rightly. */
  redisFailed(doing: string, error: unknown): void {
    const isLate = error instanceof PolyloopError && error.code === 'BRIDGE_TIMEOUT'
    this.fail(isLate ? 'timeouts' : 'other', `${doing}: ${problemOf(error)}`)
  }
}
