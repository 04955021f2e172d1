import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ERROR_KINDS, Tally } from '../../../src/cli/load/tally.ts'

test('tally: adds up what threads counted', () => {
  const one = new Tally()
  one.count('lost', '', 3)
  one.count('closed', '1011 tired')
  one.count('unsent', '', 0)
  const both = new Tally()
  both.add(one.counts())
  both.add(structuredClone(one.counts()))
  assert.deepEqual(both.counts(), { kinds: { lost: 6, closed: 2 }, details: { 'closed: 1011 tired': 2 } })
  assert.deepEqual([both.total, both.of('lost'), both.of('late')], [8, 6, 0])
})

test('tally: names 16 details, and the rest other', () => {
  const tally = new Tally()
  for (let code = 0; code < 20; code++) tally.count('closed', String(code))
  const { details } = tally.counts()
  assert.equal(Object.keys(details).length, 17)
  assert.equal(details.other, 4)
})

test('tally: the documentation has every kind, and no other', () => {
  const page = readFileSync(new URL('../../../docs/LOAD-TESTING.md', import.meta.url), 'utf8')
  const rows = [...page.matchAll(/^\| (`.*`) \|/gm)].flatMap(([, names = '']) => names.replaceAll('`', '').split(', '))
  assert.deepEqual(rows.toSorted(), Object.keys(ERROR_KINDS).toSorted())
})
