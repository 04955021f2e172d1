import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FLAG, RING_WORD } from '../../src/ring/record.ts'

const page = readFileSync(new URL('../../docs/MEMORY.md', import.meta.url), 'utf8')

test('memory: the page lists each word of a ring with its offset, and each flag with its number', () => {
  const words = Object.fromEntries(
    [...page.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map(([, name, at]) => [name, Number(at)]),
  )
  const offsets = Object.fromEntries(Object.entries(RING_WORD).map(([name, index]) => [name, index * 4]))
  assert.deepEqual(words, offsets)
  const flags = Object.fromEntries(
    [...page.matchAll(/^\| (\d) (\w+) \|/gm)].map(([, number, name]) => [name, Number(number)]),
  )
  assert.deepEqual(flags, FLAG)
})
