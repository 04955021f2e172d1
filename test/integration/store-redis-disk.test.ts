// `store.redis.ack: disk`: an answer waits until the server says that it is on disk, calls that wait share one WAITAOF, and a
// server that cannot say it gets nothing to store. What needs WAITAOF runs where the PATH has a server with it.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import type { PolyloopError } from '../../src/lib/errors.ts'
import { createLogger } from '../../src/observe/logger.ts'
import type { Store } from '../../src/store/store.ts'
import { findWaitAof } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'
import { storeContract } from '../store/contract.ts'
import { type RedisStoreSubject, startRedisStore } from '../store/redis-store-fixture.ts'

const program = findWaitAof()
const skip = program === undefined && 'no redis-server of 7.2 or later, and no valkey-server, is in the PATH'
const MESSAGES = 300

function add(store: Store, content = 'x'): Promise<{ readonly id: number }> {
  return store.addMessage({ chatId: 1, senderId: 1, content, type: 'Text', createSender: false })
}

async function failureOf(answer: Promise<unknown>): Promise<PolyloopError> {
  const [end] = await Promise.allSettled([answer])
  assert.equal(end.status, 'rejected')
  return (end as PromiseRejectedResult).reason as PolyloopError
}

test('disk: a server that cannot say what is on its disk stores nothing, and the log says why from the start', async () => {
  const lines: string[] = []
  const write = (line: string): void => void lines.push(line)
  const log = createLogger({ level: 'info', write, base: { thread: 'bridge' }, clock: new ManualClock() })
  // Too old for WAITAOF, or without a log: either will do.
  await using subject = await startRedisStore({ log, disk: { replicas: 0, timeoutMs: 1_000 } })
  await waitUntil('it was told', () => lines.some((line) => line.includes('bridge.disk_ack_refused')))
  const store = subject.store()
  for (const answer of [add(store), store.createUser({ name: 'ada' }), store.chat({ chatId: 1 })]) {
    const { code, details } = await failureOf(answer)
    assert.equal(code, 'STORE_FAILED')
    assert.match(String(details.problem), /unknown command|appendonly is disabled/)
  }
  assert.equal(subject.server.command('DBSIZE'), '0')
})

test('disk: a script asks for it only where it is set', async () => {
  await using subject = await startRedisStore()
  const { code, details } = await failureOf(add(subject.store({ onDisk: true })))
  assert.deepEqual([code, details.problem], ['STORE_FAILED', 'store.redis.ack is not `disk`'])
})

describe('a server with WAITAOF', { skip }, () => {
  let subject: RedisStoreSubject
  const server = { config: ['appendonly yes', 'appendfsync everysec'], ...(program === undefined ? {} : { program }) }

  before(async () => {
    subject = await startRedisStore({ server, disk: { replicas: 0, timeoutMs: 2_000 } })
  })

  after(() => subject[Symbol.asyncDispose]())

  const calls = (command: string): number =>
    Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(subject.server.command('INFO', 'commandstats'))?.[1] ?? 0)

  // Syncing each second it would take a second for each call.
  describe('contract', () => {
    before(() => subject.server.command('CONFIG', 'SET', 'appendfsync', 'always'))
    after(() => subject.server.command('CONFIG', 'SET', 'appendfsync', 'everysec'))
    storeContract('redis, on disk', () => subject.fresh())
  })

  test('disk: what waits shares one WAITAOF, and an answer means that it is synced', async () => {
    const { store } = subject.fresh()
    const waited = calls('waitaof')
    const startMs = performance.now()
    const ids = (await Promise.all(Array.from({ length: MESSAGES }, () => add(store)))).map(({ id }) => id)
    assert.deepEqual(
      ids,
      ids.map((_, index) => index + 1),
    )
    // Two groups, perhaps three: each waits for the sync of a second.
    assert.ok(calls('waitaof') - waited < 10, `${calls('waitaof') - waited} WAITAOF for ${MESSAGES} messages`)
    assert.ok(performance.now() - startMs < 5_000)
  })

  test('disk: killed, it has what was acknowledged, and the group under way is doubtful', async () => {
    subject.server.command('CONFIG', 'SET', 'appendfsync', 'always')
    const { store } = subject.fresh()
    const acked: number[] = []
    const codes = new Set<string>()
    const writers = Array.from({ length: 8 }, async () => {
      while (codes.size === 0 || acked.length < 50) {
        await add(store, 'under load').then(
          ({ id }) => acked.push(id),
          ({ code }: PolyloopError) => codes.add(code),
        )
      }
    })
    await waitUntil('the load runs', () => acked.length > 100)
    await subject.server.kill()
    await Promise.all(writers)
    await subject.server.start()
    await subject.up()
    await waitUntil('the store is back', () => store.chat({ chatId: 1 }).then(Boolean, () => false))
    const stored = (await store.recentMessages({ chatId: 1, count: 10_000 }))?.messages.map(({ id }) => id) ?? []
    assert.deepEqual(
      acked.filter((id) => !stored.includes(id)),
      [],
    )
    for (const code of codes) assert.ok(['STORE_LOST', 'STORE_FAILED'].includes(code), code)
  })

  test('disk: a log that is turned off fails what it would have to promise, and is used again when it is back', async () => {
    const { store } = subject.fresh()
    await add(store)
    subject.server.command('CONFIG', 'SET', 'appendonly', 'no')
    const first = await failureOf(add(store))
    assert.equal(first.code, 'STORE_LOST', 'it is stored, and nobody knows for how long')
    assert.equal((await failureOf(add(store))).code, 'STORE_FAILED')
    subject.server.command('CONFIG', 'SET', 'appendonly', 'yes')
    await waitUntil('it promises again', () => add(store).then(Boolean, () => false))
  })

  test('disk: without the replicas that are wanted nothing is acknowledged', async () => {
    await using other = await startRedisStore({ server, disk: { replicas: 1, timeoutMs: 300 } })
    const { code, details } = await failureOf(add(other.store()))
    assert.equal(code, 'STORE_TIMEOUT')
    assert.match(String(details.reason), /^after 300 ms it is on the disk of \d server and 0 replicas$/)
  })
})
