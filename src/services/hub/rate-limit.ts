// The token buckets of one session, one per type of message. They are made when the first message of a type comes, and
// travel with the session; time is that of the day, because another host may go on with them. [PROTOCOLS 4.8]
import type { HubConfig } from './config.ts'
import type { Rate } from './config-kind.ts'

/** Everything that has a bucket; `invalid` is what is unknown or cannot be read. */
export const RATED = [
  'ping',
  'subscribe',
  'unsubscribe',
  'get_subscriptions',
  'get_reconnection_token',
  'set_options',
  'broadcast',
  'recover',
  'binary',
  'invalid',
] as const
export type Rated = (typeof RATED)[number]

const DEFAULTS: Readonly<Record<string, Rate>> = {
  ping: { capacity: 120, refill: 2 },
  subscribe: { capacity: 30, refill: 1 },
  unsubscribe: { capacity: 30, refill: 1 },
}
const OTHERS: Rate = { capacity: 60, refill: 10 }

export type RateTable = readonly Rate[]

/** By the index of the type. */
export function rateTableOf({
  rateLimits,
  rateLimitBurst,
}: Pick<HubConfig, 'rateLimits' | 'rateLimitBurst'>): RateTable {
  return RATED.map((type) => {
    const { capacity, refill } = rateLimits[type] ?? DEFAULTS[type] ?? OTHERS
    return { capacity: capacity + rateLimitBurst, refill }
  })
}

/** Tokens and the time they were counted at, by turns. */
export type FrozenBuckets = readonly number[]

export class RateBuckets {
  readonly #table: RateTable
  #values: Float64Array | undefined

  constructor(table: RateTable, frozen?: FrozenBuckets) {
    this.#table = table
    if (frozen !== undefined && frozen.length === 2 * table.length) this.#values = Float64Array.from(frozen)
  }

  /** 0: one was taken. Otherwise none was, and there is one in so many seconds. */
  take(type: Rated, wallMs: number): number {
    const index = RATED.indexOf(type)
    const { capacity, refill } = this.#table[index] as Rate
    this.#values ??= this.#full(wallMs)
    const tokens = this.#values[2 * index] as number
    const elapsedMs = Math.max(0, wallMs - (this.#values[2 * index + 1] as number))
    const now = Math.min(capacity, tokens + (elapsedMs / 1_000) * refill)
    this.#values[2 * index + 1] = wallMs
    this.#values[2 * index] = now >= 1 ? now - 1 : now
    return now >= 1 ? 0 : (1 - now) / refill
  }

  freeze(): FrozenBuckets | undefined {
    return this.#values === undefined ? undefined : Array.from(this.#values)
  }

  #full(wallMs: number): Float64Array {
    return Float64Array.from(this.#table.flatMap(({ capacity }) => [capacity, wallMs]))
  }
}
