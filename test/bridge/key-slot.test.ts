import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keySlotOf } from '../../src/bridge/key-slot.ts'

test('key slot: as Redis counts them', () => {
  // Of CLUSTER KEYSLOT, 7.0.15.
  for (const [key, slot] of [
    ['123456789', 12_739],
    ['foo', 12_182],
    ['somekey', 11_058],
    ['', 0],
  ] as const) {
    assert.equal(keySlotOf(key), slot, key)
  }
})

test('key slot: the first braces that have something in them', () => {
  const same = [
    ['{user1000}.following', 'user1000'],
    ['foo{bar}{zap}', 'bar'],
    ['foo{{bar}}zap', '{bar'],
    ['session:{ж}:up', 'ж'],
  ] as const
  for (const [key, tag] of same) assert.equal(keySlotOf(key), keySlotOf(tag), key)
  for (const key of ['foo{}{bar}', 'foo{bar', 'foo}bar{', '{}foo']) {
    assert.notEqual(keySlotOf(key), keySlotOf('bar'), key)
  }
})
