// What the command and its generator threads say to each other, and the shared words they count in.
import type { LoadPlan } from './plan.ts'
import type { TallyCounts } from './tally.ts'

/** Given to a thread at its start. */
export interface GeneratorStart {
  readonly plan: LoadPlan
  /** The host's address, looked up once: no resolver call per connection. */
  readonly address: string
  readonly thread: number
  /** The numbers of the thread's connections: [first, end). */
  readonly first: number
  readonly end: number
  /** How many subscribers the thread opens after its connections, and the number of the first. */
  readonly subscribers: { readonly first: number; readonly count: number }
  /** Message ids that were acknowledged, for chat. */
  readonly ids: SharedArrayBuffer | undefined
  /** When messages were due, for rooms and the hub. */
  readonly sendTimes: SharedArrayBuffer | undefined
  readonly counters: SharedArrayBuffer
}

/** Times are milliseconds of the process's monotonic clock. */
export type ToGenerator =
  | { readonly type: 'begin'; readonly startMs: number; readonly measureMs: number; readonly endMs: number }
  | { readonly type: 'stop' }

export type FromGenerator =
  | { readonly type: 'connected'; readonly opened: number }
  | { readonly type: 'done'; readonly result: GeneratorResult }

export interface GeneratorResult {
  readonly errors: TallyCounts
  /** Encoded histograms: from the intended send time (open loop) or from the send (closed); how late it sent itself. */
  readonly latency: string
  readonly sendLag: string
  /** In a room, or of a channel: messages that arrived at a member within the measured time, and the histogram of how long they took. */
  readonly fanOut?: { readonly deliveries: number; readonly latency: string }
  readonly sent: number
  readonly answered: number
  /** Answers with a wrong content. */
  readonly wrong: number
  /** Answers that arrived within the measured time, and that time. */
  readonly measuredAnswers: number
  readonly measuredMs: number
  /** Processor time of this thread in the measured time. */
  readonly cpuMs: number
  readonly noConnectionLeft: boolean
}

/** One row per thread, written by it alone; the command reads them for its progress line and its CPU figures. */
export const COUNTER = {
  sent: 0,
  answered: 1,
  errors: 2,
  open: 3,
  opened: 4,
  failed: 5,
  /** Rightly answered; without an answer so far; 1 while the thread may still send: what subscribers have to wait for. */
  right: 6,
  unanswered: 7,
  sending: 8,
  subscribed: 9,
  pushed: 10,
} as const
const COUNTER_WORDS = 16 // 128 bytes: threads do not share a cache line pair

export function allocateCounters(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(threads * COUNTER_WORDS * Float64Array.BYTES_PER_ELEMENT)
}

export function counterRow(counters: SharedArrayBuffer, thread: number): Float64Array {
  return new Float64Array(counters, thread * COUNTER_WORDS * Float64Array.BYTES_PER_ELEMENT, COUNTER_WORDS)
}

export function sumOf(counters: SharedArrayBuffer, counter: number): number {
  const words = new Float64Array(counters)
  let sum = 0
  for (let index = counter; index < words.length; index += COUNTER_WORDS) sum += words[index] ?? 0
  return sum
}
