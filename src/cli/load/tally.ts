// Errors by kind: a closed set, counted per thread and added up for the report.

export const ERROR_KINDS = {
  refused: 'connections that were refused',
  'connect-timeout': 'connections that were not open in time',
  'connect-failed': 'connections that failed to open in another way',
  rejected: 'handshakes that the server refused',
  closed: 'connections that ended before the run did',
  mismatch: 'answers with another content than was sent',
  failed: 'requests that the server answered with an error',
  'wrong-id': 'acknowledgements with a message id that is zero, not rising, or not unique',
  foreign: 'answers that belong to another connection or run',
  duplicate: 'answers that had come before',
  unexpected: 'answers to messages that were never sent',
  reordered: 'answers that came after one to a later message',
  lost: 'messages without an answer, although later ones had one or the connection ended',
  timeout: 'messages without an answer in time',
  late: 'answers that came after their message had been given up',
  unsent: 'messages that were due but could not be sent before the end',
} as const satisfies Record<string, string>

export type ErrorKind = keyof typeof ERROR_KINDS

/** Different details (close codes, system errors) a tally names; the rest is `other`. */
const DETAILS_MAX = 16

/** Crosses threads as it is. */
export interface TallyCounts {
  readonly kinds: Partial<Record<ErrorKind, number>>
  /** `closed: 1011 internal error` → how often. */
  readonly details: Readonly<Record<string, number>>
}

export class Tally {
  total = 0
  readonly #kinds: Partial<Record<ErrorKind, number>> = {}
  readonly #details = new Map<string, number>()

  count(kind: ErrorKind, detail = '', times = 1): void {
    if (times === 0) return
    this.total += times
    this.#kinds[kind] = (this.#kinds[kind] ?? 0) + times
    if (detail !== '') this.#detail(`${kind}: ${detail}`, times)
  }

  add(other: TallyCounts): void {
    for (const [kind, times] of Object.entries(other.kinds)) this.count(kind as ErrorKind, '', times)
    for (const [detail, times] of Object.entries(other.details)) this.#detail(detail, times)
  }

  of(kind: ErrorKind): number {
    return this.#kinds[kind] ?? 0
  }

  counts(): TallyCounts {
    return { kinds: { ...this.#kinds }, details: Object.fromEntries(this.#details) }
  }

  #detail(detail: string, times: number): void {
    const name = this.#details.has(detail) || this.#details.size < DETAILS_MAX ? detail : 'other'
    this.#details.set(name, (this.#details.get(name) ?? 0) + times)
  }
}
