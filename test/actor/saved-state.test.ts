import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressOf } from '../../src/actor/address.ts'
import { defineActor } from '../../src/actor/definition.ts'
import { forgetState, loadState, saveState } from '../../src/actor/saved-state.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { type ErrorCode, PolyloopError } from '../../src/lib/errors.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { STATE_BYTES_MAX, type Store } from '../../src/store/store.ts'
import { Loop } from '../store/store-fixture.ts'
import { FixtureShards } from './shard-fixture.ts'

const KEY_BYTES_MAX = 512
const ada = addressOf('account', 'ada')

function createStore(): Store {
  return new Loop(new MemoryStore(new ManualClock())).client.store
}

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | 'ok'> {
  try {
    await promise
    return 'ok'
  } catch (error) {
    assert.ok(error instanceof PolyloopError)
    return error.code
  }
}

test('saved state: whatever a message can be comes back as it was', async () => {
  const store = createStore()
  const values = [
    0,
    'text',
    '',
    null,
    [1, 2],
    { at: new Date(7), list: [{}] },
    new Map([['a', 1]]),
    Buffer.from([0, 255]),
  ]
  for (const value of values) {
    await saveState(store, ada, value)
    assert.deepEqual(await loadState(store, ada), value)
  }
})

test('saved state: it is the actor’s own, the last one counts, and forgotten is as never saved', async () => {
  const store = createStore()
  assert.equal(await loadState(store, ada), undefined)
  const saves = [1, 2, 3].map((count) => saveState(store, ada, { count }))
  await Promise.all(saves)
  await saveState(store, addressOf('account', 'bob'), { count: 9 })
  assert.deepEqual(await loadState(store, ada), { count: 3 })
  await forgetState(store, ada)
  await forgetState(store, ada)
  assert.equal(await loadState(store, ada), undefined)
  assert.deepEqual(await loadState(store, addressOf('account', 'bob')), { count: 9 })
})

test('saved state: as large as allowed, and one byte more', async () => {
  const store = createStore()
  // One byte says how to read the others.
  const largest = Buffer.alloc(STATE_BYTES_MAX - 1, 7)
  await saveState(store, ada, largest)
  assert.deepEqual(await loadState(store, ada), largest)
  assert.equal(await codeOf(saveState(store, ada, Buffer.alloc(STATE_BYTES_MAX))), 'MESSAGE_TOO_LARGE')
  assert.deepEqual(await loadState(store, ada), largest)
})

test('saved state: an address that is too long, and values that cannot be kept', async () => {
  const store = createStore()
  const idBytes = KEY_BYTES_MAX - 'actor/account/'.length
  assert.equal(await codeOf(saveState(store, addressOf('account', 'x'.repeat(idBytes)), 1)), 'ok')
  const long = addressOf('account', 'x'.repeat(idBytes + 1))
  assert.equal(await codeOf(saveState(store, long, 1)), 'VALUE_INVALID')
  assert.equal(await codeOf(loadState(store, long)), 'VALUE_INVALID')
  assert.equal(await codeOf(forgetState(store, long)), 'VALUE_INVALID')
  assert.equal(await codeOf(saveState(store, ada, { run: () => {} })), 'VALUE_INVALID')
})

const saver = defineActor({
  kind: 'saver',
  create: () => ({}),
  on: {
    save: (_state, value: unknown, context) => context.save(value),
    load: (_state, _none: undefined, context) => context.load(),
    forget: (_state, _none: undefined, context) => context.forget(),
    chat: (_state, chatId: number, context) => context.store.chat({ chatId }),
  },
})

test('actor: where there is no store it is told so', async () => {
  const shards = new FixtureShards([saver], [8])
  for (const [index, method] of (['save', 'load', 'forget'] as const).entries()) {
    const asked = codeOf(shards.ref(8, saver, `${index}`).ask(method))
    await shards.run()
    assert.equal(await asked, 'STORE_ABSENT')
  }
  const asked = codeOf(shards.ref(8, saver, 'chat').ask('chat', 1))
  await shards.run()
  assert.equal(await asked, 'STORE_ABSENT')
})

test('actor: the end of a shard does not wait for actors that failed, which have nothing to save', async () => {
  const shards = new FixtureShards([saver], [8])
  const asked = codeOf(shards.ref(8, saver, 'ada').ask('save', 1))
  await shards.run()
  assert.equal(await asked, 'STORE_ABSENT')
  const { system } = shards.shard(8)
  assert.deepEqual(
    [...system.activations()].map(({ status }) => status),
    ['backoff'],
  )
  assert.equal(system.stop(), true)
})
