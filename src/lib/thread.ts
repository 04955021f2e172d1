// The index of every kind of thread in the process: shared words, rings and metrics are found by it.

/** Most shards a runtime may have. A reload has twice as many threads for a while. */
export const SHARDS_MAX = 64

export const THREAD = { main: 0, acceptor: 1, bridge: 2, store: 3, firstShard: 8 } as const

/** Number of thread indexes: 8 reserved, then two generations of shards. */
export const THREADS_MAX = THREAD.firstShard + 2 * SHARDS_MAX

/** Shard number → thread index. */
export function threadOfShard(shard: number): number {
  return THREAD.firstShard + shard
}

/** The value of the metric label `shard`: a shard's number, or the name of another thread. */
export function threadLabel(thread: number): string {
  if (thread >= THREAD.firstShard) return String(thread - THREAD.firstShard)
  for (const [name, index] of Object.entries(THREAD)) if (index === thread) return name
  return `thread-${thread}`
}
