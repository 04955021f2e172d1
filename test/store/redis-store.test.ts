// The store on Redis without Redis: its bounds, what failures of the bridge become, and how rows are read.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ErrorCode, type ErrorDetails, PolyloopError } from '../../src/lib/errors.ts'
import { redisFailure } from '../../src/store/redis-failure.ts'
import { chatOf, entryOf, type MessageRow, messageOf } from '../../src/store/redis-row.ts'
import { RedisStore, type StoreScript } from '../../src/store/redis-store.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'

const CALLS_MAX = 3
const TIMEOUT_MS = 1_000

/** A store whose scripts wait for the test. */
class Waiting {
  readonly timers = new ManualTimers()
  readonly scripts: (StoreScript & PromiseWithResolvers<unknown>)[] = []
  readonly seconds: number[] = []
  readonly store = new RedisStore({
    script: (call) => {
      const answer = Promise.withResolvers<unknown>()
      this.scripts.push({ ...call, ...answer })
      return answer.promise
    },
    onDisk: true,
    clock: this.timers.clock,
    wheel: this.timers.wheel,
    timeoutMs: TIMEOUT_MS,
    callsMax: CALLS_MAX,
    commitSeconds: { observe: (seconds) => void this.seconds.push(seconds) },
  })
}

const message = { chatId: 7, senderId: 2, content: 'x', type: 'Text', createSender: false } as const

test('calls: one more than may wait is STORE_BUSY at once; one that ended makes room', async () => {
  const { store, scripts } = new Waiting()
  const waiting = Array.from({ length: CALLS_MAX }, () => store.addMessage(message))
  assert.equal(store.waiting, CALLS_MAX)
  await assert.rejects(store.addMessage(message), {
    code: 'STORE_BUSY',
    details: { operation: 'addMessage', problem: `${CALLS_MAX} calls of this thread wait` },
  })
  assert.equal(scripts.length, CALLS_MAX)
  scripts[0]?.resolve([41, 5])
  const { createdAt, ...first } = (await waiting[0]) ?? assert.fail()
  assert.deepEqual(first, { id: 41, sequence: 5, chatId: 7, senderId: 2, content: 'x', type: 'Text' })
  assert.equal(store.waiting, CALLS_MAX - 1)
  const again = store.addMessage(message)
  scripts.at(-1)?.resolve([42, 6])
  assert.equal((await again).id, 42)
})

test('calls: at its time limit one fails with STORE_TIMEOUT, not a tick earlier; its answer is too late then', async () => {
  const { store, scripts, timers, seconds } = new Waiting()
  let end = 'none'
  const late = store.addMessage(message).catch(({ code }: PolyloopError) => {
    end = code
  })
  timers.run(TIMEOUT_MS - 5)
  await Promise.resolve()
  assert.equal(end, 'none')
  timers.run(15)
  await late
  assert.equal(end, 'STORE_TIMEOUT')
  assert.equal(store.waiting, 0)
  scripts[0]?.resolve([1, 1])
  await new Promise(setImmediate)
  assert.equal(seconds.length, 1, 'how long it took counts all the same')
})

test('calls: what a script refuses is a constraint, in the words of the other stores', async () => {
  const { store, scripts } = new Waiting()
  const refused = store.addMessage(message)
  scripts[0]?.resolve(-1)
  await assert.rejects(refused, {
    code: 'STORE_CONSTRAINT',
    details: { operation: 'addMessage', problem: 'FOREIGN KEY constraint failed' },
  })
  const taken = store.createUser({ name: 'ada' })
  scripts[1]?.resolve(-2)
  await assert.rejects(taken, { details: { operation: 'createUser', problem: 'UNIQUE constraint failed: users.name' } })
})

test('announcement: log, both ends of what is told, and its bounds go with the message; its time is the message', async () => {
  const { store, scripts } = new Waiting()
  const announce = { log: 'topic:x', countMax: 9, ttlSeconds: 1.5, before: 'a', after: 'b', createdAt: 1_763_750_000 }
  const answer = store.addMessage({ ...message, announce })
  const { keys, args, onDisk } = scripts[0] ?? assert.fail()
  assert.equal(onDisk, true)
  assert.equal(keys.at(-1), 'topic:x')
  assert.deepEqual(args, ['2', 'Text 1763750000 2 x', 1_763_750_000, '0', 'a', 'b', 9, 1_500])
  scripts[0]?.resolve([1, 1])
  assert.equal((await answer).createdAt, 1_763_750_000)
})

test('failures: of the bridge become the store’s; addresses stay out of what clients see', () => {
  const shown = (code: ErrorCode, details: ErrorDetails = {}): unknown => {
    const failure = redisFailure(new PolyloopError(code, details), 'chat') as PolyloopError
    return [failure.code, failure.details]
  }
  const operation = 'chat'
  const reason = 'connect ECONNREFUSED 10.1.2.3:6379'
  const away = { operation, problem: 'the server of the store is away', reason }
  assert.deepEqual(shown('BRIDGE_DOWN', { problem: reason }), ['STORE_FAILED', away])
  const lost = { operation, problem: 'the server of the store was lost before it answered', reason }
  assert.deepEqual(shown('BRIDGE_LOST', { problem: reason }), ['STORE_LOST', lost])
  assert.deepEqual(shown('BRIDGE_TIMEOUT', { waitedMs: 5 }), [
    'STORE_TIMEOUT',
    { operation, waitedMs: 5, reason: undefined },
  ])
  assert.deepEqual(shown('BRIDGE_BUSY', { problem: 'full' }), ['STORE_BUSY', { operation, problem: 'full' }])
  const place = ` script: ${'0a'.repeat(20)}, on @user_script:12.`
  for (const [problem, code] of [
    ["OOM command not allowed when used memory > 'maxmemory'.", 'STORE_FULL'],
    ['MISCONF Errors writing to the AOF file: No space left on device', 'STORE_FULL'],
    ["READONLY You can't write against a read only replica.", 'STORE_FAILED'],
    ['NOPERM this user has no permissions', 'STORE_FAILED'],
  ] as const) {
    assert.deepEqual(shown('BRIDGE_REFUSED', { problem: problem + place }), [code, { operation, problem }])
  }
  assert.deepEqual(shown('MESSAGE_TOO_LARGE', { bytes: 9 }), ['MESSAGE_TOO_LARGE', { bytes: 9 }])
  const bug = new TypeError('a bug')
  assert.equal(redisFailure(bug, 'chat'), bug)
})

test('rows: a message is read as it was written, whatever its content has in it', () => {
  for (const content of ['', ' ', 'a b  c', '\0', '-1 2 ', 'ж\u{1F600}\n', 'Text 1 2 x']) {
    const written = { type: 'System', createdAt: 1_763_750_000, senderId: Number.MAX_SAFE_INTEGER, content } as const
    const row: MessageRow = [Buffer.from('12-345'), [Buffer.from('m'), Buffer.from(entryOf(written))]]
    assert.deepEqual(messageOf(7, row), { id: 345, sequence: 12, chatId: 7, ...written })
  }
})

test('rows: a chat without a message was changed when it was made', () => {
  const text = (value: string): Buffer => Buffer.from(value)
  const chat = chatOf([text('7'), text('ж'), text('group'), text('2'), text('1763750000'), 3, null])
  assert.deepEqual(chat, {
    id: 7,
    name: 'ж',
    type: 'group',
    creatorId: 2,
    createdAt: 1_763_750_000,
    updatedAt: 1_763_750_000,
    participants: 3,
    lastMessage: null,
  })
})
