// Threads of the session proxy die under load: that of the bridge, and a shard. Sessions of others stay open, each is told
// what it may have missed, and nothing is left behind in Redis.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ProxyCrowd } from '../harness/proxy-crowd.ts'
import { nextText, RedisProxy } from '../harness/proxy-server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { cause, threadFaults } from '../harness/thread-fault.ts'
import { waitUntil, within } from '../harness/wait.ts'

const SHARDS = 2
const SESSIONS = 40
const ROUNDS = 10
const HANG_LIMIT_MS = 2_000
const RECOVERY_MS = 20_000

const folder = mkdtempSync(join(tmpdir(), 'polyloop-proxy-'))
let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start({
    shards: SHARDS,
    settings: { 'shard.hangLimit': `${HANG_LIMIT_MS}ms`, 'shard.restartBackoff.max': '200ms' },
    environment: threadFaults(folder),
  })
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

for (const [index, fault] of (['kill', 'freeze'] as const).entries()) {
  test(`session-proxy: the bridge's thread ends (${fault}) under load: sessions stay, are told, and hear again`, async () => {
    using crowd = await ProxyCrowd.open(proxy, SESSIONS)
    crowd.start()
    await waitUntil('the load runs', () => crowd.published > ROUNDS)
    cause(folder, 'bridge', fault)
    const restarts = async (): Promise<number> =>
      (await proxy.server.metrics()).sum('polyloop_shard_restarts_total', { shard: 'bridge' })
    await waitUntil('it is replaced', async () => (await restarts()) === index + 1, RECOVERY_MS)
    await crowd.told(1, RECOVERY_MS)
    await crowd.stop()
    await crowd.assertFlows(ROUNDS)
    assert.equal(crowd.gapCount, SESSIONS, 'each is told once')
    using late = await proxy.enter('late')
    await proxy.backend.publish('late', '1')
    assert.equal(await nextText(late), '1')
  })
}

test('session-proxy: a shard ends: its connections too, those of the other hear on, and Redis forgets the rest', async () => {
  await waitUntil('all is quiet', async () => (await proxy.backend.channels()).length === 0)
  const [dying, living] = [0, 1].map((shard) => sessionOn(shard, SHARDS, 'proxy')) as [string, string]
  using first = await proxy.enter(dying)
  using other = await proxy.enter(living)
  await proxy.server.kill(0)
  const { code } = await within('the end of a connection', first.closed)
  assert.ok([1001, 1006, 1011, 1012].includes(code), `close code ${code}`)
  await proxy.backend.publish(living, 'still')
  assert.equal(await nextText(other), 'still')
  const forgets = async (): Promise<boolean> => `${await proxy.backend.channels()}` === `session:${living}:down`
  await waitUntil('the subscription of the dead is gone', forgets)
  using again = await proxy.open(dying)
  await proxy.backend.publish(dying, 'back')
  assert.equal(await nextText(again), 'back')
  await proxy.server.recovered(0, 1)
  await waitUntil('two are counted', async () => (await proxy.activeConnections()) === 2, RECOVERY_MS)
})
