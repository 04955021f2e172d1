// Processes that write to real files and are killed, as often as it takes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { REOPEN_MS } from '../../src/store/sqlite-store.ts'
import type { StoredMessage } from '../../src/store/store.ts'
import { Random } from '../simulation/random.ts'
import { call, Folder, LogCapture, openEngine, run, shown, textMessage } from './store-fixture.ts'
import { type Acknowledged, startWriter } from './writer-process.ts'

const KILLS = 20
const WRITERS = 20
const PAGE = 500
const SEED = Number(process.env.STORE_CRASH_SEED ?? Date.now() % 1_000_000)

test('store crash: what was acknowledged before a kill -9 is there once, with its id', async (context) => {
  context.diagnostic(`STORE_CRASH_SEED=${SEED}`)
  const random = new Random(SEED)
  using folder = new Folder()
  const acknowledged: Acknowledged[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    const writer = startWriter(folder.file(), `life-${kill}`, WRITERS)
    await writer.written(random.between(1, 300))
    await writer.kill()
    acknowledged.push(...writer.acknowledged)
  }
  const engine = openEngine('sqlite', folder.file())
  const stored: StoredMessage[] = []
  for (let from = 1; ; from += PAGE) {
    const page = shown(run(engine, call('messages', { chatId: 1, from, count: PAGE }))[0]) as StoredMessage[]
    stored.push(...page)
    if (page.length < PAGE) break
  }
  const total = shown(run(engine, call('recentMessages', { chatId: 1, count: 0 }))[0]) as { total: number }
  engine.close()
  assert.equal(total.total, stored.length)
  for (const [index, { id, sequence }] of stored.entries()) {
    assert.equal(sequence, index + 1)
    assert.ok(id > (stored[index - 1]?.id ?? 0), `id ${id} rises`)
  }
  const idOf = new Map(stored.map(({ content, id }) => [content, id]))
  assert.equal(idOf.size, stored.length, 'no message is there twice')
  assert.ok(acknowledged.length >= KILLS)
  for (const { content, id } of acknowledged) assert.equal(idOf.get(content), id, content)
})

test('store crash: a file that another process uses is refused until that one is gone', async () => {
  using folder = new Folder()
  const other = startWriter(folder.file(), 'other', 1)
  await other.written(1)
  const clock = new ManualClock()
  const capture = new LogCapture(clock)
  const engine = openEngine('sqlite', folder.file(), clock, capture.log)
  const [failed] = capture.of('store.failed')
  assert.deepEqual([failed?.level, failed?.code, failed?.path], ['error', 'STORE_LOCKED', folder.file()])
  clock.advance(REOPEN_MS)
  assert.equal(shown(run(engine, textMessage('x'))[0]), 'STORE_LOCKED: database is locked')
  assert.equal(shown(run(engine, call('chat', { chatId: 1 }))[0]), 'STORE_LOCKED: database is locked')
  await other.kill()
  clock.advance(REOPEN_MS - 1)
  assert.equal(shown(run(engine, textMessage('x'))[0]), 'STORE_LOCKED: database is locked', 'not tried again so soon')
  clock.advance(1)
  const sent = shown(run(engine, textMessage('x'))[0]) as StoredMessage
  assert.ok(sent.id > (other.acknowledged.at(-1)?.id ?? 0))
  assert.equal(capture.of('store.recovered').length, 1)
  engine.close()
})
