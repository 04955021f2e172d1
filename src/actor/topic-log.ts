// How a topic that spans hosts lies in its log (bridge/bridge.ts): one entry per message, as it was published, so that each
// host makes of it what its kind says.
//
//   entry     u8 form | u8 0 | u16 key bytes | f64 ms since 1970 | key | payload          little-endian
//
// Other programs may append such entries, too: docs/TOPICS.md.
import type { TopicDefinition } from './topic-definition.ts'

export const LOG_ENTRY_BYTES = 12

/** Kept at least, also for kinds without history: what repairs a host that was cut off for a moment. */
export const LOG_COUNT_MIN = 1_000
/** A log nobody appends to, and no host follows, is forgotten after so long; its topic begins a new epoch then. */
export const LOG_TTL_SECONDS_MIN = 600

/** The name of the log, and of its channel. */
export function logOfTopic(name: string): string {
  return `topic:${name}`
}

export interface LogLimits {
  readonly countMax: number
  readonly ttlSeconds: number
}

export function logLimitsOf({ history }: Pick<TopicDefinition, 'history'>): LogLimits {
  return {
    countMax: Math.max(LOG_COUNT_MIN, history?.count ?? 0),
    ttlSeconds: Math.max(LOG_TTL_SECONDS_MIN, (history?.ageMs ?? 0) / 1_000),
  }
}

/** `bytes[start, end)` are key and payload. */
export function packLogEntry(
  form: number,
  keyBytes: number,
  wallMs: number,
  bytes: Uint8Array = new Uint8Array(0),
  start = 0,
  end = bytes.length,
): Buffer {
  const entry = Buffer.allocUnsafe(LOG_ENTRY_BYTES + end - start)
  entry[0] = form
  entry[1] = 0
  entry.writeUInt16LE(keyBytes, 2)
  entry.writeDoubleLE(wallMs, 4)
  entry.set(bytes.subarray(start, end), LOG_ENTRY_BYTES)
  return entry
}

export interface LogEntryHead {
  readonly form: number
  readonly keyBytes: number
  readonly wallMs: number
}

/** Undefined: it is no entry of a topic. */
export function logEntryHead(entry: Buffer): LogEntryHead | undefined {
  if (entry.length < LOG_ENTRY_BYTES) return undefined
  const keyBytes = entry.readUInt16LE(2)
  const wallMs = entry.readDoubleLE(4)
  if (LOG_ENTRY_BYTES + keyBytes > entry.length || !Number.isFinite(wallMs)) return undefined
  return { form: entry[0] as number, keyBytes, wallMs }
}
