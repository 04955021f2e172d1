import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Activation } from '../../src/actor/activation.ts'
import { Directory } from '../../src/actor/directory.ts'

/** The directory reads the address and the link of an activation, nothing else. */
function activation(name: string, hash: number): Activation {
  return { address: { key: Buffer.from(name), hash }, next: undefined } as unknown as Activation
}

test('directory: finds what was added by hash and key, in the middle of other bytes', () => {
  const directory = new Directory()
  const one = activation('room/1', 5)
  directory.add(one)
  const bytes = Buffer.from('..room/1..')
  assert.equal(directory.find(5, bytes, 2, 8), one)
  for (const [hash, start, end] of [
    [5, 2, 7],
    [5, 1, 8],
    [6, 2, 8],
    [5, 2, 9],
  ] as const) {
    assert.equal(directory.find(hash, bytes, start, end), undefined)
  }
})

test('directory: as a map does, with all keys on few hashes', () => {
  const step = fc.tuple(fc.constantFrom('add', 'remove', 'find'), fc.integer({ min: 0, max: 11 }))
  const property = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const directory = new Directory()
    const model = new Map<string, Activation>()
    for (const [act, number] of steps) {
      const name = `kind/${number}`
      const key = Buffer.from(name)
      const known = model.get(name)
      if (act === 'add' && known === undefined) {
        const added = activation(name, number % 3)
        directory.add(added)
        model.set(name, added)
      } else if (act === 'remove' && known !== undefined) {
        directory.remove(known)
        model.delete(name)
      }
      assert.equal(directory.find(number % 3, key, 0, key.length), model.get(name))
      assert.equal(directory.size, model.size)
      assert.deepEqual(new Set(directory.all()), new Set(model.values()))
    }
  })
  fc.assert(property, { seed: 3, numRuns: 300 })
})

test('directory: who is passed by may be removed, and a stranger changes nothing', () => {
  const directory = new Directory()
  const all = Array.from({ length: 9 }, (_, number) => activation(`kind/${number}`, number % 2))
  for (const one of all) directory.add(one)
  directory.remove(activation('kind/0', 0))
  directory.remove(activation('kind/0', 7))
  assert.equal(directory.size, all.length)
  let passed = 0
  for (const one of directory.all()) {
    passed++
    directory.remove(one)
  }
  assert.equal(passed, all.length)
  assert.equal(directory.size, 0)
})
