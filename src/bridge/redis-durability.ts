// Whether a server can lose what it has executed: its configuration, as far as it may be asked.
import type { RedisLink } from './redis-link.ts'

export interface Durability {
  /** Why something can be lost, for people. */
  readonly problems: readonly string[]
  /** Why nobody knows; empty: it was asked. Managed servers hide CONFIG. */
  readonly unknown: string
}

/** `isOnDisk`: answers wait until they are on disk anyway, so that only eviction is left. Never rejects. */
export async function durabilityOf(link: RedisLink, isOnDisk: boolean): Promise<Durability> {
  const problems: string[] = []
  try {
    const [isAppending, sync, policy] = await Promise.all([
      settingOf(link, 'appendonly'),
      settingOf(link, 'appendfsync'),
      settingOf(link, 'maxmemory-policy'),
    ])
    if (!isOnDisk && isAppending === 'no')
      problems.push('appendonly is no: what was acknowledged is gone when Redis ends')
    else if (!isOnDisk && sync !== 'always') {
      problems.push(`appendfsync is ${sync}: what was acknowledged last is gone when Redis or its machine crashes`)
    }
    // Nothing of the store has a time to live: the volatile policies do not touch it.
    if (policy.startsWith('allkeys'))
      problems.push(`maxmemory-policy is ${policy}: Redis throws messages away when it is full`)
    return { problems, unknown: '' }
  } catch (error) {
    return { problems, unknown: error instanceof Error ? error.message : String(error) }
  }
}

/** One at a time: only Redis 7 takes several. */
async function settingOf(link: RedisLink, name: string): Promise<string> {
  const reply = await link.run('config', ['get', name])
  return Array.isArray(reply) ? String(reply[1]) : ''
}
