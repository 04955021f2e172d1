// The parts that need no connection: pauses, URLs, queues, tables.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoffMs } from '../src/backoff.ts'
import { FrameQueue } from '../src/frame-queue.ts'
import { HandlerTable } from '../src/handler-table.ts'
import { HubError } from '../src/hub-error.ts'
import { settingsOf, urlOf } from '../src/option.ts'
import { PositionTable } from '../src/position-table.ts'
import { Recovery } from '../src/recovery.ts'
import { RequestTable } from '../src/request-table.ts'
import { SubscriptionTable } from '../src/subscription-table.ts'

function event(offset: number, epoch = 'e1', channel = 'metrics') {
  return { channel, timestamp: 't', event_type: 'x', data: {}, offset, epoch }
}

test('backoff: doubles up to a minute, and 20 % either way', () => {
  const middle = [1, 2, 3, 5, 6, 100].map((attempt) => backoffMs(attempt, 3000, () => 0.5))
  assert.deepEqual(middle, [3000, 6000, 12_000, 48_000, 60_000, 60_000])
  assert.deepEqual(
    [0, 1].map((random) => Math.round(backoffMs(1, 1000, () => random))),
    [800, 1200],
  )
  assert.equal(
    backoffMs(3, 0, () => 0.5),
    0,
  )
})

test('option: what the user wrote in the URL stays, and a used token goes', () => {
  const url = (options: object, token?: string): string => urlOf(settingsOf(options), token)
  assert.equal(url({}), 'ws://localhost:8000/ws?offsets=1')
  assert.equal(url({ url: 'ws://h/ws', resume: false }), 'ws://h/ws')
  assert.equal(url({ url: 'ws://h/ws?a=1', token: 'j w', resume: false }), 'ws://h/ws?a=1&token=j%20w')
  assert.equal(
    url({ url: 'ws://h/ws?binary=0#x', binary: true, compression: 'gzip' }),
    'ws://h/ws?binary=0&compression=gzip&offsets=1',
  )
  const resuming = { url: 'ws://h/ws?reconnection_token=old&a=1', resume: false }
  assert.equal(url(resuming), 'ws://h/ws?reconnection_token=old&a=1')
  assert.equal(url(resuming, 'new'), 'ws://h/ws?a=1&reconnection_token=new')
})

test('option: nonsense is refused', () => {
  for (const wrong of [{ reconnectDelay: -1 }, { maxReconnectAttempts: Number.NaN }, { compression: 'zip' }])
    assert.throws(() => settingsOf(wrong as object), { code: 'FRAME_INVALID' })
})

test('queue: receive skips events, and takes all in order of arrival with `events`', async () => {
  const queue = new FrameQueue()
  queue.push({ channel: 'a' }, true, 1)
  queue.push({ type: 'pong' }, false, 1)
  queue.push({ channel: 'b' }, true, 1)
  queue.push({ type: 'error' }, false, 1)
  assert.deepEqual(await queue.receive({}, true), { type: 'pong' })
  const rest = [await queue.receive({ events: true }, true), await queue.receive({ events: true }, false)]
  assert.deepEqual(rest, [{ channel: 'a' }, { channel: 'b' }])
  assert.deepEqual(await queue.receive({}, false), { type: 'error' }, 'what is queued is given after the end too')
  await assert.rejects(queue.receive({}, false), { code: 'NOT_CONNECTED' })
})

test('queue: who waits gets the next of its kind, in turn', async () => {
  const queue = new FrameQueue()
  const control = queue.receive({}, true)
  const any = queue.receive({ events: true }, true)
  const late = queue.receive({ timeout: 5 }, true)
  queue.push({ channel: 'a' }, true, 1)
  queue.push({ type: 'pong' }, false, 1)
  assert.deepEqual(await Promise.all([control, any]), [{ type: 'pong' }, { channel: 'a' }])
  await assert.rejects(late, { code: 'TIMEOUT' })
  queue.push({ type: 'pong' }, false, 1)
  assert.deepEqual(await queue.receive({ timeout: 0 }, true), { type: 'pong' }, 'the expired one took nothing')
  const last = queue.receive({}, true)
  queue.fail(new HubError('NOT_CONNECTED', 'gone'))
  await assert.rejects(last, { message: 'gone' })
})

test('queue: the oldest of 1,001 goes, of each kind, and so does what is beyond 16 Mi characters', async () => {
  const queue = new FrameQueue()
  queue.push({ type: 'pong' }, false, 1)
  for (let n = 1; n <= 1001; n++) queue.push({ channel: 'a', offset: n }, true, 1)
  assert.equal((await queue.receive({ events: true }, true)).type, 'pong', 'events push out events only')
  assert.equal((await queue.receive({ events: true }, true)).offset, 2)
  const large = new FrameQueue()
  for (const offset of [1, 2, 3]) large.push({ channel: 'a', offset }, true, 12 * 1024 ** 2)
  assert.equal((await large.receive({ events: true }, true)).offset, 3)
  await assert.rejects(large.receive({ events: true, timeout: 0 }, true), { code: 'TIMEOUT' })
})

test('queue: 1,000 may wait at once', async () => {
  const queue = new FrameQueue()
  const waiting = Array.from({ length: 1000 }, () => queue.receive({}, true))
  await assert.rejects(queue.receive({}, true), { code: 'LIMIT' })
  queue.fail(new HubError('NOT_CONNECTED', 'gone'))
  assert.equal((await Promise.allSettled(waiting)).filter(({ status }) => status === 'rejected').length, 1000)
})

test('requests: settle by id, once; strange and late replies are told apart', () => {
  const table = new RequestTable()
  const [ids, settled]: [string[], unknown[]] = [[], []]
  const ask = (deadlineMs?: number): void =>
    table.ask(
      (id) => ids.push(id),
      (reply) => settled.push(reply),
      deadlineMs,
    )
  ask()
  ask()
  assert.equal(table.settle({ type: 'pong', id: 'mine' }), false)
  assert.equal(table.settle({ type: 'pong', id: 1 }), false)
  const [first = '', second = ''] = ids
  assert.equal(table.settle({ type: 'error', message: 'Rate limit exceeded', retry_after: 0.5, id: second }), true)
  assert.equal(table.settle({ type: 'pong', id: first }), true)
  assert.equal(table.settle({ type: 'pong', id: first }), true, 'ours, and nobody waits any more')
  const [refused, reply] = settled
  assert.ok(refused instanceof HubError)
  assert.deepEqual([refused.code, refused.message, refused.retryAfterMs], ['REPLY', 'Rate limit exceeded', 500])
  assert.deepEqual([reply, settled.length], [{ type: 'pong', id: first }, 2])
})

test('requests: a deadline, a failed send, a full table and the end of the connection are errors', async () => {
  const table = new RequestTable()
  const codeOf = (ask: (settle: (reply: unknown) => void) => void): Promise<unknown> =>
    new Promise((resolve) => ask((reply) => resolve(reply instanceof HubError ? reply.code : reply)))
  const send = (): void => undefined
  assert.equal(await codeOf((settle) => table.ask(send, settle, 5)), 'TIMEOUT')
  const failing = (): void => {
    throw new HubError('NOT_CONNECTED', 'Not connected')
  }
  assert.equal(await codeOf((settle) => table.ask(failing, settle)), 'NOT_CONNECTED')
  const all = Array.from({ length: 1000 }, () => codeOf((settle) => table.ask(send, settle)))
  assert.equal(await codeOf((settle) => table.ask(send, settle)), 'LIMIT')
  table.fail(new HubError('NOT_CONNECTED', 'lost'))
  assert.deepEqual(new Set(await Promise.all(all)), new Set(['NOT_CONNECTED']))
})

test('positions: an event is new once', () => {
  const table = new PositionTable()
  const taken = [event(5), event(5), event(4), event(6), event(1, 'e2'), event(1, 'e2'), event(2, 'e2')]
  assert.deepEqual(
    taken.map((one) => table.advance(one)),
    [true, false, false, true, true, false, true],
  )
  table.step('metrics')
  table.step('logs')
  table.step(undefined)
  assert.deepEqual(
    table.of(['logs', 'metrics']),
    { metrics: { epoch: 'e2', offset: 3 } },
    'a binary frame counts as one',
  )
  assert.equal(table.advance({ channel: 'logs', timestamp: 't', event_type: 'x', data: {} }), true)
  table.forget('metrics')
  assert.deepEqual(table.of(['metrics']), {})
})

test('subscriptions: the difference is asked for once', () => {
  const table = new SubscriptionTable()
  assert.deepEqual(table.take(new Set(['a', 'b'])), { subscribe: ['a', 'b'], unsubscribe: [] })
  assert.deepEqual(table.take(new Set(['b', 'c'])), { subscribe: ['c'], unsubscribe: ['a'] })
  assert.deepEqual(table.take(new Set(['b', 'c'])), { subscribe: [], unsubscribe: [] })
  table.restore(['b', 'z'], [])
  assert.deepEqual(table.take(new Set(['b', 'c'])), { subscribe: ['c'], unsubscribe: [] }, 'what is not ours stays')
  table.forget(['b'])
  assert.deepEqual(table.take(new Set(['b', 'c'])), { subscribe: ['b'], unsubscribe: [] })
  assert.deepEqual(table.reset(), ['b', 'z'])
  assert.deepEqual(table.reset(), [])
  assert.deepEqual(table.take(new Set(['b', 'c'])), { subscribe: ['b', 'c'], unsubscribe: [] })
  table.grant(['b', 'c'])
  table.take(new Set(['b']))
  assert.deepEqual(table.reset(), ['b'], 'what was given up does not count')
})

test('recovery: what was missed comes before what waits, by channel', () => {
  const position = { epoch: 'e', offset: 1 }
  const recovery = new Recovery({ metrics: position, logs: position, status: position })
  const delivered: unknown[] = []
  const take = (channel: unknown, what: unknown): boolean => recovery.take(channel, () => delivered.push(what))
  assert.deepEqual(
    [take('signals', 0), take(undefined, 0), take('metrics', 'm4'), take('logs', 'l2')],
    [false, false, true, true],
  )
  recovery.expect('metrics', 2)
  recovery.expect('logs', 0)
  recovery.expect('strange', 1)
  assert.deepEqual(
    [take('metrics', 'm2'), take('logs', 'l3'), take('metrics', 'm3'), take('metrics', 'm5')],
    [true, false, true, false],
  )
  assert.deepEqual(delivered, ['l2', 'm2', 'm3', 'm4'])
  assert.equal(recovery.isOver, false)
  for (let n = 0; n <= 1000; n++) assert.equal(take('status', n), true)
  recovery.release()
  assert.deepEqual([delivered.length, delivered[4], delivered.at(-1)], [1004, 1, 1000], 'the oldest goes')
  assert.equal(recovery.isOver, true)
})

test('handlers: each is called, whatever the others throw; slow ones are bounded', async () => {
  const failures: string[] = []
  const calls: unknown[] = []
  const table = new HandlerTable(({ code, message }, name) => failures.push(`${code} ${name} ${message}`), 100)
  const throwing = (): never => {
    throw new Error('ouch')
  }
  const rejecting = async (): Promise<never> => throwing()
  const listening = (value: unknown): unknown => calls.push(value)
  for (const handler of [throwing, rejecting, listening]) table.add('a', handler)
  assert.equal(table.call('b', 1), false)
  assert.equal(table.call('a', 1), true)
  await new Promise(setImmediate)
  assert.deepEqual(failures, Array(2).fill('HANDLER a A handler of a failed: ouch'))
  table.remove('a', throwing)
  table.remove('a', rejecting)
  const { promise, resolve } = Promise.withResolvers<void>()
  table.add('a', () => promise)
  for (let n = 0; n <= 100; n++) table.call('a', n)
  // The last event finds no room, and then no handler is called.
  assert.deepEqual([calls.length, failures.length, failures[2]?.split(' ')[0]], [101, 4, 'LIMIT'])
  resolve()
  await new Promise(setImmediate)
  table.call('a', 2)
  assert.equal(failures.length, 4, 'there is room again')
  table.remove('a')
  assert.equal(table.has('a'), false)
})
