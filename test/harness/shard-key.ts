// Session keys by the shard they belong to, so that a test hits the shard it means to.
import { SlotTable } from '../../src/placement/slots.ts'

const TRIES_MAX = 10_000

/** The shard of a key, as long as nothing has moved. */
export function shardOf(key: string, shards: number): number {
  const table = SlotTable.allocate()
  table.spread(shards)
  return table.shardOfKey(key)
}

/** A user name whose connections to rooms live on `shard`. */
export function nameOn(shard: number, shards: number, salt = 0): string {
  for (let index = 0; index < TRIES_MAX; index++) {
    const name = `u${salt}_${index}`
    if (shardOf(`room-user:${name}`, shards) === shard) return name
  }
  throw new Error(`no name for shard ${shard} of ${shards}`)
}

/** A value for `?session=` (or the `session` line of the fault service) whose connections live on `shard`. */
export function sessionOn(shard: number, shards: number, prefix: string, salt = 0): string {
  const table = SlotTable.allocate()
  table.spread(shards)
  for (let index = 0; index < TRIES_MAX; index++) {
    const session = `s${salt}-${index}`
    if (table.shardOfKey(`${prefix}:${session}`) === shard) return session
  }
  throw new Error(`no key for shard ${shard} of ${shards}`)
}
