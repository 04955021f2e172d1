import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CONNECTIONS_PER_ADDRESS, localAddressOf } from '../../../src/cli/load/opening.ts'

test('opening: loopback connections beyond the ports of one address come from the next', () => {
  assert.equal(localAddressOf('127.0.0.1', CONNECTIONS_PER_ADDRESS - 1), undefined)
  assert.equal(localAddressOf('127.0.0.1', CONNECTIONS_PER_ADDRESS), '127.0.0.2')
  assert.equal(localAddressOf('127.0.0.1', 99_999), '127.0.0.5')
  assert.equal(localAddressOf('192.0.2.1', 99_999), undefined)
  assert.equal(localAddressOf('::1', 99_999), undefined)
})
