// The active actors of one shard, found by the hash of their address. Actors with the same hash are told apart by key.
import type { Activation } from './activation.ts'

export class Directory {
  readonly #byHash = new Map<number, Activation>()
  size = 0

  /** The actor whose key is `bytes[start, end)`. No string is made of it: this runs once per message. */
  find(hash: number, bytes: Uint8Array, start: number, end: number): Activation | undefined {
    let found = this.#byHash.get(hash)
    while (found !== undefined && !isEqual(found.address.key, bytes, start, end)) found = found.next
    return found
  }

  add(activation: Activation): void {
    const { hash } = activation.address
    activation.next = this.#byHash.get(hash)
    this.#byHash.set(hash, activation)
    this.size++
  }

  remove(activation: Activation): void {
    const { hash } = activation.address
    const first = this.#byHash.get(hash)
    if (first === activation) {
      if (activation.next === undefined) this.#byHash.delete(hash)
      else this.#byHash.set(hash, activation.next)
    } else {
      let before = first
      while (before !== undefined && before.next !== activation) before = before.next
      if (before === undefined) return
      before.next = activation.next
    }
    activation.next = undefined
    this.size--
  }

  *all(): Generator<Activation> {
    for (const first of this.#byHash.values()) {
      for (let one: Activation | undefined = first; one !== undefined; ) {
        // Who is asked for it may be removed meanwhile.
        const { next } = one as Activation
        yield one
        one = next
      }
    }
  }
}

function isEqual(key: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (key.length !== end - start) return false
  for (let index = 0; index < key.length; index++) if (key[index] !== bytes[start + index]) return false
  return true
}
