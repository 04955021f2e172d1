// What an actor keeps on disk: one value under its address, packed as messages are, behind a byte that says how.
import { decodeValue, encodeValue } from '../lib/codec.ts'
import { PolyloopError } from '../lib/errors.ts'
import { KEY_BYTES_MAX, STATE_BYTES_MAX, type Store } from '../store/store.ts'
import type { Address } from './address.ts'

export async function saveState(store: Store, address: Address, value: unknown): Promise<void> {
  const key = keyOf(address)
  const { tag, bytes, start, end } = encodeValue(value)
  const length = 1 + end - start
  if (length > STATE_BYTES_MAX) {
    throw new PolyloopError('MESSAGE_TOO_LARGE', { actor: key, bytes: length, max: STATE_BYTES_MAX })
  }
  const packed = Buffer.allocUnsafe(length)
  packed[0] = tag
  packed.set(bytes.subarray(start, end), 1)
  await store.putState({ key, value: packed })
}

export async function loadState(store: Store, address: Address): Promise<unknown> {
  const packed = await store.getState({ key: keyOf(address) })
  if (packed === undefined) return undefined
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  return decodeValue(bytes[0] as number, bytes, 1, bytes.length)
}

export async function forgetState(store: Store, address: Address): Promise<void> {
  await store.removeState({ key: keyOf(address) })
}

/** Addresses may be longer than the store's keys. */
function keyOf({ kind, id }: Address): string {
  const key = `actor/${kind}/${id}`
  if (Buffer.byteLength(key) <= KEY_BYTES_MAX) return key
  throw new PolyloopError('VALUE_INVALID', {
    actor: key,
    problem: `a saved address has at most ${KEY_BYTES_MAX} bytes`,
  })
}
