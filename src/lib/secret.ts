// Comparing secrets. Knows nothing of what they open.
import { hash, timingSafeEqual } from 'node:crypto'

/** In constant time; texts count as UTF-8. */
export function isEqualSecret(given: string | Uint8Array, wanted: string | Uint8Array): boolean {
  // Hashes are of one length, so that the time tells nothing about the secret, not even its length.
  return timingSafeEqual(hash('sha256', given, 'buffer'), hash('sha256', wanted, 'buffer'))
}
