// The store's thread ends or hangs under load: its callers get typed errors, nothing that was acknowledged is lost, and
// its successor goes on. And the process ends without a word: what actors had saved is there.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { type Server, type ServerOptions, startServer } from '../harness/server.ts'
import { StoreWriter } from '../harness/store-writer.ts'
import { cause, threadFaults } from '../harness/thread-fault.ts'
import { waitUntil } from '../harness/wait.ts'

const WRITERS = 4
const KILLS = 3
/** Acknowledged writes between two faults. */
const WRITTEN_MIN = 50
/** At a time: less than `store.calls`. */
const READS = 1_000
const HANG_LIMIT_MS = 2_000
const FAILURES_EXPECTED = ['STORE_LOST', 'STORE_TIMEOUT', 'STORE_LOCKED']

const folder = mkdtempSync(join(tmpdir(), 'polyloop-store-'))
const OPTIONS: ServerOptions = {
  shards: 2,
  modules: ['test/harness/store-service.ts'],
  settings: {
    'services.keeper.tcp.port': 0,
    'store.path': join(folder, 'new', 'store.db'),
    'shard.hangLimit': `${HANG_LIMIT_MS}ms`,
    'shard.restartBackoff.max': '200ms',
  },
  environment: threadFaults(folder),
}

let server: Server

before(async () => {
  server = await startServer(OPTIONS)
})

after(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function open(): Promise<LineClient> {
  return LineClient.open({ port: server.port('keeper.tcp') })
}

async function ask(client: LineClient, line: string): Promise<string> {
  return ((await client.ask(`- ${line}`)) ?? '- nothing').slice('- '.length)
}

async function restarts(): Promise<number> {
  return (await server.metrics()).sum('polyloop_shard_restarts_total', { shard: 'store' })
}

async function isUp(): Promise<boolean> {
  return (await server.metrics()).sum('polyloop_shard_up', { shard: 'store' }) === 1
}

/** Writes around faults; then every acknowledged write must be there. */
async function underLoad(faults: (written: () => number) => Promise<void>): Promise<StoreWriter[]> {
  const port = server.port('keeper.tcp')
  const writers = await Promise.all(
    Array.from({ length: WRITERS }, (_, index) => StoreWriter.start(port, `${process.hrtime.bigint()}-${index}`)),
  )
  const written = (): number => writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
  await faults(written)
  await Promise.all(writers.map((writer) => writer.stop()))
  using client = await open()
  for (const { acknowledged } of writers) {
    for (let start = 0; start < acknowledged.length; start += READS) {
      const keys = acknowledged.slice(start, start + READS)
      client.say(...keys.map((key) => `${key} get ${key}`))
      // Each answer begins with its key: they may come in another order.
      const missing = new Set(keys.map((key) => `${key} value-of-${key}`))
      while (missing.size > 0) {
        const line = await client.next()
        assert.ok(missing.delete(line ?? ''), `${line}`)
      }
    }
  }
  for (const { failures } of writers) {
    for (const code of failures.keys()) assert.ok(FAILURES_EXPECTED.includes(code), code)
  }
  return writers
}

test('store: killed under load, its callers hear STORE_LOST, and all that was acknowledged is there', async () => {
  const writers = await underLoad(async (written) => {
    for (let kill = 1; kill <= KILLS; kill++) {
      const before = written()
      await waitUntil('writes', () => written() > before + WRITTEN_MIN)
      cause(folder, 'store', 'kill')
      await waitUntil(`restart ${kill}`, async () => (await restarts()) === kill && (await isUp()))
      const after = written()
      await waitUntil('writes again', () => written() > after + WRITTEN_MIN)
    }
  })
  const lost = writers.reduce((sum, { failures }) => sum + (failures.get('STORE_LOST') ?? 0), 0)
  assert.ok(lost > 0, 'somebody waited for an answer when it died')
  assert.ok(server.logged('runtime.thread_exited').every(({ of }) => of === 'store'))
})

test('store: hung under load, it is replaced, and the other threads notice nothing else', async () => {
  const before = await restarts()
  await underLoad(async (written) => {
    await waitUntil('writes', () => written() > WRITTEN_MIN)
    cause(folder, 'store', 'freeze')
    await waitUntil('it is seen', () => server.logged('runtime.thread_hung').length > 0)
    await waitUntil('it is replaced', async () => (await restarts()) > before && (await isUp()))
    const after = written()
    await waitUntil('writes again', () => written() > after + WRITTEN_MIN)
  })
  assert.deepEqual(
    server.logged('runtime.thread_hung').map(({ of }) => of),
    ['store'],
  )
  assert.deepEqual(
    (await server.health()).shards.map(({ state }) => state),
    ['ready', 'ready'],
  )
})

test('store: calls made while its thread is away are done by its successor', async () => {
  using client = await open()
  const before = await restarts()
  cause(folder, 'store', 'kill')
  // Each ends by itself: by an answer of the old thread, by its death, or by an answer of the new one.
  const outcomes = new Set<string>()
  await waitUntil('it is back', async () => {
    outcomes.add(await ask(client, 'put away yes'))
    return (await restarts()) > before && (await isUp())
  })
  assert.equal(await ask(client, 'put away yes'), 'ok')
  for (const outcome of outcomes) assert.ok(['ok', ...FAILURES_EXPECTED].includes(outcome), outcome)
})

test('actor: what it saved is there after kill -9 of the process, and what it did not is not', async () => {
  using client = await open()
  assert.equal(await ask(client, 'add ada 5'), '5')
  assert.equal(await ask(client, 'add ada 2'), '7')
  assert.equal(await ask(client, 'note eve 100'), '100')
  assert.equal(await ask(client, 'add bob 1'), '1')
  assert.equal(await ask(client, 'forget bob'), 'ok')
  server.signal('SIGKILL')
  await server.ended
  server = await startServer(OPTIONS)
  using again = await open()
  assert.equal(await ask(again, 'read ada'), '7')
  assert.equal(await ask(again, 'read bob'), '0')
  assert.equal(await ask(again, 'noted eve'), '0')
  assert.equal(await ask(again, 'get away'), 'yes')
})
