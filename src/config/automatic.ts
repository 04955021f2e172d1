// What `auto` means for options whose answer depends on the machine, or on another option.
import { SHARDS_MAX } from '../lib/thread.ts'

/** `shards: auto` is one less than the available cores (main and acceptor need some too), at least 1. */
export function shardCountOf(shards: number | 'auto', cores: number): number {
  return shards === 'auto' ? Math.min(SHARDS_MAX, Math.max(1, cores - 1)) : shards
}

/** `bridge.kind: auto` is `redis` when a URL is set. */
export function bridgeKindOf({
  kind,
  redis,
}: {
  readonly kind: 'auto' | 'local' | 'redis'
  readonly redis: { readonly url: string | undefined }
}): 'local' | 'redis' {
  if (kind !== 'auto') return kind
  return redis.url === undefined ? 'local' : 'redis'
}

/** `offload.threads: auto` is half of the available cores, at least 1. */
export function offloadThreadCountOf(threads: number | 'auto', cores: number): number {
  return threads === 'auto' ? Math.max(1, Math.floor(cores / 2)) : threads
}
