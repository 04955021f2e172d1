import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageIds } from '../../../src/cli/load/message-ids.ts'

test('message ids: each is taken once, whichever view of the memory it is taken through', () => {
  const shared = MessageIds.allocate()
  const one = new MessageIds(shared)
  const other = new MessageIds(shared)
  const ids = [1, 2, 31, 32, 33, 63, 64, 2 ** 27, 2 ** 28 - 1, 2 ** 40 + 5]
  for (const [index, id] of ids.entries()) assert.equal((index % 2 === 0 ? one : other).take(id), true, String(id))
  for (const [index, id] of ids.entries()) assert.equal((index % 2 === 0 ? other : one).take(id), false, String(id))
  assert.equal(one.take(3), true)
})
