import assert from 'node:assert/strict'
import { test } from 'node:test'
import { worthALook } from '../../../src/cli/cluster/log-line.ts'

test('log line: warnings and a few others are worth a look, and so is what is no line of a log', () => {
  const line = (fields: object): string => JSON.stringify({ level: 'info', time: 1, ...fields })
  assert.equal(worthALook(line({ event: 'runtime.ready', shards: 1 })), undefined)
  assert.equal(worthALook(line({ event: 'bridge.up', server: 's' })), 'bridge.up server="s"')
  assert.equal(worthALook(line({ level: 'warn', event: 'bridge.down', stack: 'Error: …', n: 2 })), 'bridge.down n=2')
  assert.equal(worthALook('(node:1) Warning: …'), '(node:1) Warning: …')
  assert.equal(worthALook('{"level":"info","ev'), '{"level":"info","ev')
})
