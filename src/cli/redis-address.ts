// Which Redis a tool talks to. Loads no client: help and plans stay fast.
import { parseRedisAddress, type RedisAddress } from '../lib/redis-address.ts'

export const DEFAULT_REDIS_URL = 'redis://127.0.0.1:6379'

/** `--redis-url`, else REDIS_URL, else the server of this machine. Undefined: it is no address, and the problem was told. */
export function redisAddressOf(
  given: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  problem: (text: string) => void,
): RedisAddress | undefined {
  const name = given === undefined ? 'REDIS_URL' : '--redis-url'
  const address = parseRedisAddress(given ?? (environment.REDIS_URL || DEFAULT_REDIS_URL))
  if (typeof address !== 'string') return address
  problem(`${name}: ${address}`)
  return undefined
}
