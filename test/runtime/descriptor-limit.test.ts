import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionsAllowed, processLimits } from '../../src/runtime/descriptor-limit.ts'

test('descriptor limit: leaves descriptors for the process and its threads', () => {
  const text =
    'Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n'
  assert.equal(connectionsAllowed(text, 4), 851)
  assert.equal(connectionsAllowed(text.replace('1024', '80'), 4), 1)
})

test('descriptor limit: no limit known is no limit', () => {
  assert.equal(connectionsAllowed(undefined, 4), Number.POSITIVE_INFINITY)
  assert.equal(connectionsAllowed('Max open files   unlimited   unlimited   files', 4), Number.POSITIVE_INFINITY)
})

test('descriptor limit: reads the limits of this process', { skip: process.platform !== 'linux' }, () => {
  const allowed = connectionsAllowed(processLimits(), 1)
  assert.ok(allowed > 0 && (allowed === Number.POSITIVE_INFINITY || Number.isInteger(allowed)))
})
