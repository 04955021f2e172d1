// Two processes on one file: the second is told so and serves on, the first notices nothing; when it ends the second one
// takes over.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil } from '../harness/wait.ts'

function start(path: string): Promise<Server> {
  return startServer({
    shards: 1,
    modules: ['test/harness/store-service.ts'],
    settings: { 'services.keeper.tcp.port': 0, 'store.path': path },
  })
}

test('store: a file that another process uses', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-store-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'store.db')
  await using first = await start(path)
  using one = await LineClient.open({ port: first.port('keeper.tcp') })
  assert.equal(await one.ask('1 put before first'), '1 ok')

  await using second = await start(path)
  using other = await LineClient.open({ port: second.port('keeper.tcp') })
  assert.equal(await other.ask('1 started'), '1 STORE_LOCKED')
  assert.equal(await other.ask('2 put before second'), '2 STORE_LOCKED')
  assert.equal(await other.ask('3 add bob 1'), '3 STORE_LOCKED')
  const failed = second.logged('store.failed')
  assert.ok(failed.length > 0)
  assert.deepEqual(
    [failed[0]?.level, failed[0]?.thread, failed[0]?.code, failed[0]?.path],
    ['error', 'store', 'STORE_LOCKED', path],
  )

  assert.equal(await one.ask('2 get before'), '2 first')
  assert.equal(await one.ask('3 add ada 4'), '3 4')
  one.end()
  assert.deepEqual(await first.stop(), { status: 0, signal: null })
  assert.deepEqual(first.logged('store.failed'), [])

  await waitUntil('the second has it', async () => (await other.ask('4 put after second')) === '4 ok')
  assert.equal(await other.ask('5 get before'), '5 first')
  assert.equal(await other.ask('6 add ada 2'), '6 6')
  assert.equal(second.logged('store.recovered').length, 1)
  other.end()
  assert.deepEqual(await second.stop(), { status: 0, signal: null })
})
