import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { SLOTS, slotOf } from '../../src/placement/slots.ts'
import { runCommand } from './capture.ts'

// Port 9 is discard: nobody listens there.
const NOBODY = 'http://127.0.0.1:9'

test('placement: a bare word is a session of echo, or a key as it is', async () => {
  const { stdout } = await runCommand(['placement', 'alice', '--shards', '1'])
  assert.deepEqual(
    stdout.split('\n').map((line) => line.split(',')[0]),
    [`echo:alice: slot ${slotOf('echo:alice')}`, `alice: slot ${slotOf('alice')}`, ''],
  )
})

test('placement: asks the running server how many shards it has, and shows its token', async () => {
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization}`)
    response.end(JSON.stringify({ shards: [0, 1, 2, 3, 4, 4].map((id) => ({ id })) }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { stdout } = await runCommand(['placement', 'a:b', '--admin', admin, '--token', 'secret'])
  server.close()
  assert.match(stdout, /of 5,/)
  assert.deepEqual(asked, ['/api/v1/runtime Bearer secret'])
})

test('placement: prints slot and shard, and the same key always has the same slot', async () => {
  const slot = slotOf('echo:alice')
  assert.ok(slot < SLOTS)
  assert.deepEqual(await runCommand(['placement', 'echo:alice', '--shards', '1']), {
    status: 0,
    stdout: `echo:alice: slot ${slot}, shard 0 (of 1, counted from 0)\n`,
    stderr: '',
  })
  const shards = new Set<string>()
  for (let user = 0; user < 64; user++) {
    const key = `echo:user-${user}`
    const { stdout } = await runCommand(['placement', key, '--admin', NOBODY], { POLYLOOP_SHARDS: '4' })
    const [, found = ''] = /^.*: slot \d+, shard ([0-3]) \(of 4, counted from 0\)\n$/.exec(stdout) ?? []
    assert.ok(stdout.startsWith(`${key}: slot ${slotOf(key)}, `), stdout)
    shards.add(found)
  }
  assert.deepEqual([...shards].sort(), ['0', '1', '2', '3'])
})

test('placement: the flag counts more than --set, and its bound is the option’s', async () => {
  const { stdout } = await runCommand(['placement', 'k', '--set', 'shards=2', '--shards', '3'])
  assert.match(stdout, /of 3,/)
  const { status, stderr } = await runCommand(['placement', 'k', '--shards', '65'])
  assert.deepEqual([status, stderr.includes('an integer from 1 to 64')], [1, true])
  assert.equal((await runCommand(['placement'])).status, 2)
})
