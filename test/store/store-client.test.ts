import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { type ErrorCode, PolyloopError } from '../../src/lib/errors.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { STORE_RECORD } from '../../src/store/store-record.ts'
import { Loop, type LoopOptions } from './store-fixture.ts'

/** How a promise ended, as soon as it has. */
class Ending {
  code: ErrorCode | 'ok' | undefined
  details: Readonly<Record<string, unknown>> = {}

  constructor(promise: Promise<unknown>) {
    promise.then(
      () => {
        this.code = 'ok'
      },
      (error: unknown) => {
        assert.ok(error instanceof PolyloopError)
        this.code = error.code
        this.details = error.details
      },
    )
  }
}

function loopByHand(options?: LoopOptions): Loop {
  const loop = new Loop(new MemoryStore(new ManualClock()), options)
  loop.byHand = true
  return loop
}

function send(loop: Loop, content = 'x'): Ending {
  return new Ending(
    loop.client.store.addMessage({ chatId: 1, senderId: 1, content, type: 'Text', createSender: false }),
  )
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

test('store client: no more calls at a time than allowed, the others fail at once', async () => {
  const loop = loopByHand({ callsMax: 3 })
  const sent = [send(loop), send(loop), send(loop), send(loop)]
  await turn()
  assert.deepEqual(
    sent.map(({ code }) => code),
    [undefined, undefined, undefined, 'STORE_BUSY'],
  )
  assert.equal(sent[3]?.details.operation, 'addMessage')
  loop.settle()
  await turn()
  assert.deepEqual([sent[0]?.code, loop.client.waiting], ['ok', 0])
  const next = send(loop)
  loop.settle()
  await turn()
  assert.equal(next.code, 'ok')
})

test('store client: a full way to the store fails the call and leaves nothing behind', async () => {
  const loop = loopByHand()
  loop.toHostMax = 1
  const [first, second] = [send(loop), send(loop)]
  await turn()
  assert.deepEqual([first.code, second.code, loop.client.waiting], [undefined, 'STORE_BUSY', 1])
  assert.equal(loop.timers.wheel.stats.scheduled, 1)
  loop.settle()
  await turn()
  assert.deepEqual([first.code, loop.client.waiting], ['ok', 0])
  assert.equal(loop.timers.wheel.stats.scheduled, 0)
})

test('store client: a call ends at its time limit, and the late answer is for nobody', async () => {
  const loop = loopByHand()
  const late = send(loop, 'late')
  loop.timers.run(1_000)
  await turn()
  assert.equal(late.code, undefined, 'a wheel is never early')
  loop.timers.run(10)
  await turn()
  assert.equal(late.code, 'STORE_TIMEOUT')
  assert.deepEqual(Object.keys(late.details), ['operation', 'waitedMs'])
  assert.ok(Number(late.details.waitedMs) >= 1_000)
  const next = send(loop, 'next')
  loop.settle()
  await turn()
  assert.deepEqual([late.code, next.code, loop.client.waiting], ['STORE_TIMEOUT', 'ok', 0])
})

test('store client: when the store’s thread ends all that wait fail, and later calls go to the next one', async () => {
  const loop = loopByHand()
  const lost = [send(loop), send(loop)]
  const answersOnTheirWay = loop.toHost.length
  loop.client.storeDown()
  await turn()
  assert.deepEqual(
    lost.map(({ code }) => code),
    ['STORE_LOST', 'STORE_LOST'],
  )
  assert.equal(loop.timers.wheel.stats.scheduled, 0)
  const next = send(loop)
  assert.equal(loop.toHost.length, answersOnTheirWay + 1)
  loop.settle()
  await turn()
  assert.equal(next.code, 'ok')
  loop.client.storeDown()
})

test('store client: an answer to the thread’s life before matches no call', async () => {
  const before = loopByHand({ generation: 1 })
  send(before)
  before.settle()
  send(before)
  before.pass()
  for (const batch of before.scheduled.splice(0)) batch()
  const after = loopByHand({ generation: 2 })
  const ending = send(after)
  assert.equal(before.toClient.length, 1)
  for (const [kind, record] of before.toClient) assert.ok(after.client.receive(kind, record))
  await turn()
  assert.deepEqual([ending.code, after.client.waiting], [undefined, 1])
  after.settle()
  await turn()
  assert.equal(ending.code, 'ok')
})

test('store client: what cannot be sent fails before it is', async () => {
  const loop = loopByHand()
  const long = send(loop, 'x'.repeat(1024 * 1024))
  const invalid = send(loop, (() => 1) as never)
  await turn()
  assert.deepEqual([long.code, invalid.code], ['MESSAGE_TOO_LARGE', 'VALUE_INVALID'])
  assert.deepEqual([loop.toHost.length, loop.client.waiting, loop.timers.wheel.stats.scheduled], [0, 0, 0])
})

test('store client: records of others are not taken', () => {
  const loop = loopByHand()
  assert.equal(loop.client.receive(STORE_RECORD.call, Buffer.alloc(6)), false)
  assert.equal(loop.client.receive(0, Buffer.alloc(0)), false)
})
