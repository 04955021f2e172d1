// The index of every kind of thread in the process: shared words, rings and metrics are found by it.

/** Most shards a runtime may have. A reload has twice as many threads for a while. */
export const SHARDS_MAX = 64

/**
 * Places for shard threads: two for each shard, so that a reload can start the successor beside its predecessor. The
 * successor takes the other place.
 */
export const SEATS_MAX = 2 * SHARDS_MAX

export const THREAD = { main: 0, acceptor: 1, bridge: 2, store: 3, nextAcceptor: 4, firstShard: 8 } as const

/** Number of thread indexes: 8 reserved, then the seats of shards. */
export const THREADS_MAX = THREAD.firstShard + SEATS_MAX

export function isAcceptor(thread: number): boolean {
  return thread === THREAD.acceptor || thread === THREAD.nextAcceptor
}

/** Seat of a shard → thread index. */
export function threadOfSeat(seat: number): number {
  return THREAD.firstShard + seat
}

/** Thread index → seat; negative for threads that are no shards. */
export function seatOfThread(thread: number): number {
  return thread - THREAD.firstShard
}

/** The shard that sits there, as people and metrics name it. */
export function shardOfSeat(seat: number): number {
  return seat % SHARDS_MAX
}

/** The other seat of the same shard. */
export function otherSeat(seat: number): number {
  return (seat + SHARDS_MAX) % SEATS_MAX
}

/** The value of the metric label `shard`: a shard's number, or the name of another thread. */
export function threadLabel(thread: number): string {
  if (thread >= THREAD.firstShard) return String(shardOfSeat(seatOfThread(thread)))
  if (thread === THREAD.nextAcceptor) return 'acceptor'
  for (const [name, index] of Object.entries(THREAD)) if (index === thread) return name
  return `thread-${thread}`
}
