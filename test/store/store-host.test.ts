import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import type { StoredMessage } from '../../src/store/store.ts'
import type { StoreCall, StoreEngine, StoreOutcome } from '../../src/store/store-engine.ts'
import { OPERATIONS, STORE_RECORD, STORE_TAG } from '../../src/store/store-record.ts'
import { waitUntil } from '../harness/wait.ts'
import { Folder, Loop, type LoopOptions, openEngine } from './store-fixture.ts'

/** An engine that answers later, when it is told to, as one behind a network does. */
class LaterEngine implements StoreEngine {
  readonly batches: (readonly StoreCall[])[] = []
  readonly #engine = new MemoryStore(new ManualClock())
  #finish = (): void => {}
  isClosed = false

  run(calls: readonly StoreCall[]): Promise<readonly StoreOutcome[]> {
    assert.ok(!this.isClosed)
    this.batches.push(calls)
    return new Promise((resolve) => {
      this.#finish = () => resolve(this.#engine.run(calls))
    })
  }

  finish(): void {
    this.#finish()
  }

  async close(): Promise<void> {
    this.isClosed = true
  }
}

function loopByHand(options?: LoopOptions): Loop {
  const loop = new Loop(new MemoryStore(new ManualClock()), options)
  loop.byHand = true
  return loop
}

function send(loop: Loop, content = 'x'): Promise<StoredMessage> {
  return loop.client.store.addMessage({ chatId: 1, senderId: 1, content, type: 'Text', createSender: false })
}

function codeOf(answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    () => 'ok',
    (error: unknown) => (error instanceof PolyloopError ? error.code : error),
  )
}

test('store host: what arrives while a batch runs is the next batch', async () => {
  const engine = new LaterEngine()
  const loop = new Loop(engine)
  const first = send(loop)
  await waitUntil('the first batch runs', () => engine.batches.length === 1)
  const others = [send(loop), loop.client.store.chat({ chatId: 1 }), send(loop)]
  await waitUntil('they wait', () => loop.host.waiting === 3)
  assert.deepEqual(engine.batches.length, 1)
  const flushed = loop.host.flush()
  engine.finish()
  await first
  await waitUntil('the second batch runs', () => engine.batches.length === 2)
  assert.equal(loop.client.waiting, 3, 'a read is answered no earlier than the writes around it')
  engine.finish()
  await Promise.all(others)
  await flushed
  assert.deepEqual(
    engine.batches.map((batch) => batch.map(({ operation }) => operation)),
    [['addMessage'], ['addMessage', 'chat', 'addMessage']],
  )
  assert.deepEqual(loop.batchSize.values, [1, 2], 'writes are counted')
  await loop.host.flush()
})

test('store host: one commit for what arrived together, none for reads alone', async () => {
  using folder = new Folder()
  const loop = new Loop(openEngine('sqlite', folder.file()))
  await Promise.all(Array.from({ length: 40 }, () => send(loop)))
  assert.deepEqual(loop.batchSize.values, [40])
  await Promise.all([loop.client.store.chat({ chatId: 1 }), loop.client.store.chatIdsOf({ userId: 1 })])
  assert.deepEqual([loop.batchSize.values, loop.commitSeconds.values.length], [[40], 1])
  await loop.host.close()
})

test('store host: a batch is bounded in calls and in bytes, and takes one call of any size', async () => {
  const loop = loopByHand({ limits: { batchCallsMax: 4, batchBytesMax: 1_000 } })
  const contents = ['a', 'b', 'c', 'd', 'e', 'x'.repeat(5_000), 'y'.repeat(600), 'z'.repeat(600), 'f']
  const answers = Promise.all(contents.map((content) => send(loop, content)))
  loop.settle()
  assert.deepEqual(
    (await answers).map(({ content }) => content),
    contents,
  )
  assert.deepEqual(loop.batchSize.values, [4, 1, 1, 1, 2])
})

test('store host: no more calls wait than allowed, one more is refused at once', async () => {
  const loop = loopByHand({ limits: { callsMax: 3 } })
  const answers = Array.from({ length: 5 }, () => codeOf(send(loop)))
  loop.pass()
  assert.equal(loop.host.waiting, 3)
  assert.equal(loop.toClient.length, 0, 'the refusals are delivered already')
  assert.equal(loop.client.waiting, 3)
  loop.settle()
  assert.deepEqual(await Promise.all(answers), ['ok', 'ok', 'ok', 'STORE_BUSY', 'STORE_BUSY'])
  const next = codeOf(send(loop))
  loop.settle()
  assert.equal(await next, 'ok')
})

test('store host: no more bytes wait than allowed, but one call of any size', async () => {
  const loop = loopByHand({ limits: { bytesMax: 1_000 } })
  const answers = [send(loop, 'x'.repeat(5_000)), send(loop), send(loop)].map(codeOf)
  loop.settle()
  assert.deepEqual(await Promise.all(answers), ['ok', 'STORE_BUSY', 'STORE_BUSY'])
  const more = [send(loop, 'x'.repeat(400)), send(loop, 'x'.repeat(400)), send(loop, 'x'.repeat(400))].map(codeOf)
  loop.settle()
  assert.deepEqual(await Promise.all(more), ['ok', 'ok', 'STORE_BUSY'])
})

test('store host: an answer that is too long to be sent is an error', async () => {
  const loop = loopByHand({ limits: { answerBytesMax: 2_000 } })
  const { store } = loop.client
  const answers = [send(loop, 'x'.repeat(1_500)), send(loop, 'x'.repeat(1_500))]
  const read = store.messages({ chatId: 1, from: 1, count: 2 })
  const short = store.messages({ chatId: 1, from: 2, count: 1 })
  loop.settle()
  await assert.rejects(read, { code: 'STORE_FAILED' })
  assert.deepEqual(await short, [await answers[1]])
})

test('store host: when the way back is full a read is refused; a write has no answer, and the log says so', async () => {
  const loop = loopByHand()
  loop.toClientBytesMax = 60
  const read = codeOf(loop.client.store.chat({ chatId: 1 }))
  // Whose answer is as long as the list of those who are not there.
  const participants = Array.from({ length: 60 }, (_, index) => 1_000 + index)
  const write = codeOf(loop.client.store.createChat({ name: 'x', type: 'group', creatorId: 1, participants }))
  loop.settle()
  assert.equal(await read, 'STORE_BUSY')
  assert.equal(loop.client.waiting, 1)
  loop.timers.run(1_100)
  assert.equal(await write, 'STORE_TIMEOUT')
  assert.deepEqual(
    loop.capture.of('store.answer_lost').map(({ level, to }) => [level, to]),
    [['warn', 8]],
  )
})

test('store host: when the way back is full a message has no answer either, and is stored', async () => {
  const loop = loopByHand()
  loop.toClientBytesMax = 20
  const write = codeOf(send(loop))
  loop.settle()
  assert.equal(loop.client.waiting, 1)
  assert.equal(loop.capture.of('store.answer_lost').length, 1)
  loop.timers.run(1_100)
  assert.equal(await write, 'STORE_TIMEOUT')
  loop.toClientBytesMax = Number.POSITIVE_INFINITY
  const read = loop.client.store.recentMessages({ chatId: 1, count: 1 })
  loop.settle()
  assert.equal((await read)?.total, 1)
})

test('store host: closing does what waits, and takes nothing new', async () => {
  const engine = new LaterEngine()
  const loop = new Loop(engine)
  const first = send(loop)
  await waitUntil('the batch runs', () => engine.batches.length === 1)
  const second = send(loop)
  await waitUntil('the second waits', () => loop.host.waiting === 1)
  const closed = loop.host.close()
  const third = codeOf(send(loop))
  assert.equal(await third, 'STORE_LOST')
  assert.ok(!engine.isClosed)
  engine.finish()
  await first
  await waitUntil('the second batch runs', () => engine.batches.length === 2)
  engine.finish()
  await second
  await closed
  assert.ok(engine.isClosed)
  await loop.host.close()
})

test('store host: records that are no calls are not taken, calls that mean nothing are answered', () => {
  const loop = loopByHand()
  assert.equal(loop.host.receive(8, STORE_RECORD.answer, Buffer.alloc(6)), false)
  for (const [operation, tag] of [
    [OPERATIONS.length, 0],
    [255, 0],
    [0, 99],
    [0, 3],
    [0, STORE_TAG.message],
    [1, STORE_TAG.message],
  ] as const) {
    assert.ok(loop.host.receive(8, STORE_RECORD.call, Buffer.from([1, 0, 0, 0, operation, tag])))
    const [kind, record] = loop.toClient.pop() ?? []
    assert.deepEqual([kind, record?.readUInt32LE(0), record?.[4]], [STORE_RECORD.answer, 1, 1])
  }
  assert.equal(loop.host.waiting, 0)
})
