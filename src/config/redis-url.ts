// The kind of an option that says where Redis is: one server, Sentinels, or a Cluster. Its password is never printed.
import { parseRedisAddress } from '../lib/redis-address.ts'
import { type Kind, quoted, REFUSED } from './kind.ts'

export function redisUrl(): Kind<string> {
  return {
    accepts: 'redis://host:port, redis+sentinel://host:port,…/master or redis+cluster://host:port,… (rediss: with TLS)',
    decode: (raw) => (typeof raw === 'string' && typeof parseRedisAddress(raw) !== 'string' ? raw : REFUSED),
    encode: quoted,
    mask: (value) => {
      const address = parseRedisAddress(value)
      if (typeof address === 'string') return quoted('***')
      const { user, password, sentinelPassword, shown } = address
      const hasSecret = user !== undefined || password !== undefined || sentinelPassword !== undefined
      return quoted(hasSecret ? shown.replace('://', '://***@') : shown)
    },
  }
}
