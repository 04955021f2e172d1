import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sizeText, transferText } from '../../../src/cli/rooms/transfer.ts'

test('transfer: a bar with its share and size', () => {
  const half = {
    direction: 'in',
    name: 'a.bin',
    from: 'bob',
    totalBytes: 2 * 1024 * 1024,
    doneBytes: 1024 * 1024,
  } as const
  assert.equal(transferText(half), `↓ a.bin from bob ${'█'.repeat(12)}${'░'.repeat(12)} 50 % of 2.0 MiB`)
  const long = { ...half, name: 'x'.repeat(200) }
  assert.ok(transferText(long).startsWith(`↓ ${'x'.repeat(27)}… from bob █`))
  const empty = { direction: 'out', name: 'e', from: undefined, totalBytes: 0, doneBytes: 0 } as const
  assert.equal(transferText(empty), `↑ e ${'█'.repeat(24)} 100 % of 0 B`)
})

test('transfer: sizes for people', () => {
  assert.deepEqual([1, 1_023, 1_024, 5 * 1024 ** 2, 3 * 1024 ** 4].map(sizeText), [
    '1 B',
    '1023 B',
    '1.0 KiB',
    '5.0 MiB',
    '3072.0 GiB',
  ])
})
