// The address of an actor: its key `kind/id`, the hash that finds it, and the slot that owns it. Pure.
import { PolyloopError } from '../lib/errors.ts'
import { hashBytes } from '../placement/hash.ts'
import { SLOTS } from '../placement/slots.ts'

/** Bytes of `kind/id` in UTF-8. */
export const KEY_BYTES_MAX = 1024
/** Seed of the second hash. */
const CHECK_SEED = 0x706c7970

export interface Address {
  readonly kind: string
  readonly id: string
  /** `kind/id` in UTF-8. */
  readonly key: Buffer
  /** xxHash32 with seed 0, as `slotOf` has it, but an int32. */
  readonly hash: number
  /** With another seed, an int32: both together name an actor in a chain of asks. */
  readonly check: number
  readonly slot: number
}

/** Throws VALUE_INVALID on an id that is empty or makes the key longer than KEY_BYTES_MAX. */
export function addressOf(kind: string, id: string): Address {
  const key = Buffer.from(`${kind}/${id}`)
  if (id === '' || key.length > KEY_BYTES_MAX) {
    throw new PolyloopError('VALUE_INVALID', { kind, problem: `an id has 1 to ${KEY_BYTES_MAX} bytes` })
  }
  const hash = hashBytes(key)
  return { kind, id, key, hash: hash | 0, check: hashBytes(key, 0, key.length, CHECK_SEED) | 0, slot: hash % SLOTS }
}
