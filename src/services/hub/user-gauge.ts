// Connections by user, as a metric: only where that is configured, because it puts user ids where everybody reads them. At
// most so many; the others are one. [PROTOCOLS 4.12]
import { Gauge, type Registry } from 'prom-client'
import { OTHER } from '../../observe/family.ts'
import { HUB_FAMILIES } from './counter.ts'
import { ANONYMOUS } from './permission.ts'

/** Of the whole process; each shard has its part. */
const USERS_MAX = 100

/** `users` are those of the open connections of this shard; null: nobody. */
export function gaugeUsers(registry: Registry, shards: number, users: () => Iterable<string | null>): void {
  const { name, help } = HUB_FAMILIES.byUser
  const usersMax = Math.max(1, Math.floor(USERS_MAX / shards))
  new Gauge({
    name,
    help,
    labelNames: ['user_id'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [user, count] of countsOf(users(), usersMax)) this.set({ user_id: user }, count)
    },
  })
}

/** Those with most connections, and the sum of the rest. */
export function countsOf(users: Iterable<string | null>, usersMax: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const user of users) counts.set(user ?? ANONYMOUS, (counts.get(user ?? ANONYMOUS) ?? 0) + 1)
  const sorted = [...counts].sort(([, one], [, other]) => other - one)
  const kept = new Map(sorted.slice(0, usersMax))
  const rest = sorted.slice(usersMax).reduce((sum, [, count]) => sum + count, 0)
  if (rest > 0) kept.set(OTHER, (kept.get(OTHER) ?? 0) + rest)
  return kept
}
