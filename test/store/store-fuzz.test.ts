// Random histories: the store in memory and the one in a file answer alike, call by call, batch by batch, before and
// after the file is opened again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../../src/lib/clock.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import type { StoreCall, StoreOutcome } from '../../src/store/store-engine.ts'
import { call, Folder, openEngine, run } from './store-fixture.ts'

const RUNS = Number(process.env.STORE_FUZZ_RUNS ?? 60)
const SEED = process.env.STORE_FUZZ_SEED === undefined ? {} : { seed: Number(process.env.STORE_FUZZ_SEED) }

const id = fc.oneof(
  { weight: 20, arbitrary: fc.integer({ min: 1, max: 8 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, -1, 1.5, 2 ** 53, Number.MAX_SAFE_INTEGER) },
)
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('a', 'user-2', 'user-5', '\uD800', ''),
)
const count = fc.integer({ min: -2, max: 12 })
const key = fc.constantFrom('a', 'b', 'ж', '', 'x'.repeat(512), 'x'.repeat(513))

const step: fc.Arbitrary<StoreCall> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .record({
        chatId: id,
        senderId: id,
        content: text,
        type: fc.constantFrom('Text', 'Image', 'File', 'System'),
        createSender: fc.boolean(),
      })
      .map((argument) => call('addMessage', argument)),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        name: text,
        type: fc.constantFrom('direct', 'group', 'channel'),
        creatorId: id,
        participants: fc.array(id, { maxLength: 6 }),
      })
      .map((argument) => call('createChat', argument)),
  },
  { weight: 2, arbitrary: text.map((name) => call('createUser', { name })) },
  fc.record({ chatId: id, from: count, count }).map((argument) => call('messages', argument)),
  fc.record({ chatId: id, count }).map((argument) => call('recentMessages', argument)),
  id.map((chatId) => call('chat', { chatId })),
  id.map((userId) => call('chatsOf', { userId })),
  id.map((userId) => call('chatIdsOf', { userId })),
  fc.record({ key, value: fc.uint8Array({ maxLength: 9 }) }).map((argument) => call('putState', argument)),
  key.map((one) => call('getState', { key: one })),
  key.map((one) => call('removeState', { key: one })),
)

/** Everything that can be asked. */
const INVENTORY: readonly StoreCall[] = [1, 2, 3, 4, 5, 6, 7, 8, 9, Number.MAX_SAFE_INTEGER].flatMap((one) => [
  call('chat', { chatId: one }),
  call('messages', { chatId: one, from: 1, count: 1_000 }),
  call('recentMessages', { chatId: one, count: 1_000 }),
  call('chatsOf', { userId: one }),
  call('chatIdsOf', { userId: one }),
])

function shown(outcomes: readonly StoreOutcome[]): unknown[] {
  return outcomes.map((outcome) => {
    const value = outcome.ok ? outcome.value : { code: outcome.code, problem: outcome.problem }
    return value instanceof Uint8Array ? [...value] : value
  })
}

test('store fuzz: memory and SQLite give the same answers', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ calls: fc.array(step, { maxLength: 12 }), reopen: fc.boolean(), ms: fc.nat(3_000) }), {
        minLength: 3,
        maxLength: 25,
      }),
      (batches) => {
        using folder = new Folder()
        const clock = new ManualClock()
        const memory = new MemoryStore(clock)
        let file = openEngine('sqlite', folder.file(), clock)
        for (const { calls, reopen, ms } of batches) {
          assert.deepEqual(shown(run(file, ...calls)), shown(run(memory, ...calls)))
          clock.advance(ms)
          if (!reopen) continue
          file.close()
          file = openEngine('sqlite', folder.file(), clock)
        }
        assert.deepEqual(shown(run(file, ...INVENTORY)), shown(run(memory, ...INVENTORY)))
        file.close()
      },
    ),
    { numRuns: RUNS, ...SEED },
  )
})
