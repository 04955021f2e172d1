// What a topic keeps of its messages: one row of entries without holes, seen through two windows. The *history* is what
// its kind promises to subscribers that come back. The *recent* window serves repairs within the process (connections
// and homes that move, rings that were full) and nobody else: what a kind does not keep must not come back.
//
//   offsets  … 41 42 43 44 45 46 47 48        kept: from the lower of both windows to the last
//                   └──── history ────┘
//                         └── recent ─┘
import type { HistoryLimits } from './topic-definition.ts'
import { packedBytes, type TopicEntry } from './topic-entry.ts'
import { RIGHT, type Right } from './topic-record.ts'

/** A move or a full ring lasts milliseconds; a busy machine gets a wide margin. */
export const RECENT_MS = 10_000
export const RECENT_COUNT_MAX = 4_096

interface Window {
  readonly limits: HistoryLimits
  /** The lowest offset in it; last + 1 if it is empty. */
  first: number
  bytes: number
}

const NO_LIMITS: HistoryLimits = { count: 0, bytes: 0, ageMs: 0 }

export class TopicHistory {
  /** Those before `#dead` are gone; removing them one by one would move all others. */
  #entries: (TopicEntry | undefined)[] = []
  #dead = 0
  #last: number
  readonly #windows: readonly [Window, Window]

  /** `last`: the offset before the first entry to come. */
  constructor(history: HistoryLimits | undefined, recentBytes: number, last = 0) {
    this.#last = last
    const recent = { count: RECENT_COUNT_MAX, bytes: recentBytes, ageMs: RECENT_MS }
    this.#windows = [
      { limits: history ?? NO_LIMITS, first: last + 1, bytes: 0 },
      { limits: recent, first: last + 1, bytes: 0 },
    ]
  }

  get last(): number {
    return this.#last
  }

  /** Entries kept. */
  get size(): number {
    return this.#entries.length - this.#dead
  }

  /** Bytes kept, as packed. */
  get bytes(): number {
    return Math.max(this.#windows[0].bytes, this.#windows[1].bytes)
  }

  /** Whether subscribers that come back could get anything. */
  hasHistory(nowMs: number): boolean {
    this.trim(nowMs)
    return this.#windows[0].first <= this.#last
  }

  append(entry: TopicEntry, nowMs: number): void {
    this.#entries.push(entry)
    this.#last = entry.offset
    const bytes = packedBytes(entry)
    for (const window of this.#windows) window.bytes += bytes
    this.trim(nowMs)
  }

  /** Lets go of what is in neither window. */
  trim(nowMs: number): void {
    const [history, recent] = this.#windows
    this.#trimWindow(history, nowMs)
    this.#trimWindow(recent, nowMs)
    const first = Math.min(history.first, recent.first)
    for (let dead = this.size - (this.#last + 1 - first); dead > 0; dead--) this.#entries[this.#dead++] = undefined
    if (this.#dead === this.#entries.length) {
      this.#entries = []
      this.#dead = 0
    } else if (this.#dead > 64 && this.#dead * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#dead)
      this.#dead = 0
    }
  }

  /** The lowest offset that may be read with this right; `last + 1` if there is none. */
  first(right: Right, nowMs: number): number {
    this.trim(nowMs)
    const [history, recent] = this.#windows
    return right === RIGHT.history ? history.first : Math.min(history.first, recent.first)
  }

  get(offset: number): TopicEntry | undefined {
    return this.#entries[this.#entries.length - 1 - (this.#last - offset)]
  }

  /** Everything kept, in order: for a move. */
  all(): TopicEntry[] {
    return this.#entries.slice(this.#dead) as TopicEntry[]
  }

  #trimWindow(window: Window, nowMs: number): void {
    const { count, bytes, ageMs } = window.limits
    for (;;) {
      const entry = window.first <= this.#last ? this.get(window.first) : undefined
      if (entry === undefined) return
      const isKept = this.#last - window.first < count && window.bytes <= bytes && nowMs - entry.atMs < ageMs
      if (isKept) return
      window.bytes -= packedBytes(entry)
      window.first++
    }
  }
}
