import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { didYouMean, editDistance } from '../../src/config/suggestion.ts'

test('edit distance: insertion, deletion, substitution and swap cost one each', () => {
  const cases: [string, string, number][] = [
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', 'abc', 0],
    ['abc', 'abxc', 1],
    ['abc', 'ac', 1],
    ['abc', 'axc', 1],
    ['abc', 'acb', 1],
    ['kitten', 'sitting', 3],
  ]
  for (const [a, b, distance] of cases) assert.equal(editDistance(a, b), distance, `${a} ${b}`)
})

test('edit distance: symmetric, zero only for equals, never beyond the limit', () => {
  const word = fc.string({ maxLength: 8 })
  fc.assert(
    fc.property(word, word, fc.integer({ min: 1, max: 10 }), (a, b, limit) => {
      const distance = editDistance(a, b)
      assert.equal(distance, editDistance(b, a))
      assert.equal(distance === 0, a === b)
      assert.equal(editDistance(a, b, limit), Math.min(limit, distance))
    }),
  )
})

test('did you mean: the nearest, or nothing when none is near', () => {
  const names = ['net.backlog', 'net.headTimeout', 'net.memory']
  assert.equal(didYouMean('net.BackLog', names), ' (did you mean net.backlog?)')
  assert.equal(didYouMean('net.headTimout', names), ' (did you mean net.headTimeout?)')
  assert.equal(didYouMean('quux', names), '')
  assert.equal(didYouMean('a', []), '')
})
