// Calls between client and host: each ends once, in time, and what waits is bounded.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ABSENT_BRIDGE } from '../../src/bridge/absent-bridge.ts'
import { type BridgeCall, type CallOutcome, done, type EngineFactory, failed } from '../../src/bridge/bridge-engine.ts'
import { BRIDGE_RECORD, OPERATIONS } from '../../src/bridge/bridge-record.ts'
import { decodeLogEntry, encodeLogEntry } from '../../src/bridge/log-entry.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { bytes, Ear, fails } from './bridge-fixture.ts'
import { BridgeLoop, type BridgeLoopOptions, THREAD } from './bridge-loop.ts'

const UP = { isUp: true, problem: '', reconnects: 0, roundTripMs: 0, outboxCalls: 0, outboxBytes: 0 }

interface Open {
  readonly call: BridgeCall
  readonly end: (outcome: CallOutcome) => void
}

/** An engine that answers when it is told to. */
function worldOf(options: BridgeLoopOptions = {}): { loop: BridgeLoop; timers: ManualTimers; open: Open[] } {
  const timers = new ManualTimers()
  const open: Open[] = []
  const engine: EngineFactory = () => ({
    figures: UP,
    run: (call) => new Promise((end) => open.push({ call, end })),
    subscribe: () => Promise.resolve(),
    unsubscribe: () => {},
    close: () => Promise.resolve(),
  })
  const loop = new BridgeLoop(engine, { ...options, clock: timers.clock, wheel: timers.wheel })
  loop.byHand = true
  return { loop, timers, open }
}

test('bridge call: arguments and answers come as they were', async () => {
  const { loop, open } = worldOf()
  const { bridge } = loop.client()
  const answers = [
    bridge.publish({ channel: 'ж'.repeat(300), payload: bytes('one') }),
    bridge.set({ key: 'k', value: bytes('two'), ttlSeconds: 1.5 }),
    bridge.ping(),
    bridge.get({ key: 'k' }),
  ]
  await loop.settle()
  const [publish, set, , get] = open
  assert.deepEqual(publish?.call, {
    operation: 'publish',
    argument: { channel: 'ж'.repeat(300), payload: bytes('one') },
  })
  assert.deepEqual(set?.call, { operation: 'set', argument: { key: 'k', value: bytes('two'), ttlSeconds: 1.5 } })
  get?.end(failed('BRIDGE_REFUSED', 'no'))
  for (const { end } of open) end(done({ ms: 3 }))
  const last = fails(answers[3] as Promise<unknown>, 'BRIDGE_REFUSED')
  await loop.settle()
  assert.deepEqual(await Promise.all(answers.slice(0, 3)), [{ ms: 3 }, { ms: 3 }, { ms: 3 }])
  assert.deepEqual(await last, { operation: 'get', problem: 'no' })
})

test('bridge call: no answer in time, and one that comes too late', async () => {
  const { loop, timers, open } = worldOf()
  const late = fails(loop.client().bridge.get({ key: 'k' }), 'BRIDGE_TIMEOUT')
  await loop.settle()
  timers.run(4_900)
  assert.equal(loop.client().waiting, 1)
  timers.run(400)
  const { operation, waitedMs } = await late
  assert.equal(operation, 'get')
  assert.ok(Number(waitedMs) >= 5_000 && Number(waitedMs) <= 5_300)
  open[0]?.end(done(undefined))
  await loop.settle()
  assert.equal(loop.client().waiting, 0)
})

test('bridge call: no more wait than allowed, in the client and in the host', async () => {
  const { loop, open } = worldOf({ client: { callsMax: 3 }, limits: { callsMax: 4 } })
  const calls = (thread: number): Promise<unknown>[] =>
    Array.from({ length: 3 }, () => loop.client(thread).bridge.get({ key: 'k' }))
  const first = calls(THREAD)
  await fails(loop.client().bridge.get({ key: 'k' }), 'BRIDGE_BUSY')
  await fails(loop.client().bridge.subscribe('c', new Ear()).confirmed, 'BRIDGE_BUSY')
  const second = calls(THREAD + 1)
  const refused = second.slice(1).map((answer) => fails(answer, 'BRIDGE_BUSY'))
  await loop.settle()
  await Promise.all(refused)
  assert.equal(open.length, 4)
  for (const { end } of open) end(done(undefined))
  await loop.settle()
  assert.deepEqual(await Promise.all([...first, second[0]]), new Array(4).fill(undefined))
})

test('bridge call: longer than a record, there and back', async () => {
  const { loop, open } = worldOf({ client: { callBytesMax: 1_000 }, limits: { answerBytesMax: 1_000 } })
  const { bridge } = loop.client()
  await fails(bridge.publish({ channel: 'c', payload: Buffer.alloc(866) }), 'MESSAGE_TOO_LARGE')
  await fails(bridge.set({ key: 'k', value: Buffer.alloc(1_000) }), 'MESSAGE_TOO_LARGE')
  const fits = bridge.publish({ channel: 'c', payload: Buffer.alloc(865) })
  const long = fails(bridge.get({ key: 'k' }), 'MESSAGE_TOO_LARGE')
  await loop.settle()
  open[0]?.end(done(0))
  open[1]?.end(done(Buffer.alloc(995)))
  await loop.settle()
  assert.equal(await fits, 0)
  assert.equal((await long).problem, 'the answer is too long: 995 bytes')
})

test('bridge call: a full way there is told at once, one back in time', async () => {
  const { loop, timers, open } = worldOf()
  loop.way().toHostMax = 0
  await fails(loop.client().bridge.get({ key: 'k' }), 'BRIDGE_BUSY')
  await fails(loop.client().bridge.subscribe('c', new Ear()).confirmed, 'BRIDGE_BUSY')
  assert.deepEqual([loop.client().waiting, loop.client().channels], [0, 0])
  loop.way().toHostMax = 10
  const lost = fails(loop.client().bridge.get({ key: 'k' }), 'BRIDGE_TIMEOUT')
  await loop.settle()
  loop.way().toClientMax = 0
  open[0]?.end(done(undefined))
  await loop.settle()
  timers.run(5_300)
  await lost
})

test('bridge call: its thread ends', async () => {
  const { loop, open } = worldOf()
  const answer = fails(loop.client().bridge.get({ key: 'k' }), 'BRIDGE_LOST')
  loop.client().bridgeDown()
  await answer
  await loop.settle()
  open[0]?.end(done(undefined))
  await loop.settle()
})

test('bridge call: an end waits for what is open, and refuses what comes', async () => {
  const { loop, open } = worldOf()
  const first = loop.client().bridge.get({ key: 'k' })
  await loop.settle()
  const closed = loop.host.close()
  const second = fails(loop.client().bridge.get({ key: 'k' }), 'BRIDGE_DOWN')
  await loop.settle()
  await second
  open[0]?.end(done(bytes('x')))
  await closed
  await loop.settle()
  assert.deepEqual(await first, bytes('x'))
})

test('bridge call: an operation that nobody knows', async () => {
  const { loop } = worldOf()
  assert.equal(loop.host.receive(THREAD, BRIDGE_RECORD.call, Buffer.from([1, 0, 0, 0, 200, 0])), true)
  assert.equal(loop.host.receive(THREAD, 1, Buffer.alloc(0)), false)
  assert.equal(loop.client().receive(1, Buffer.alloc(0)), false)
  await loop.settle()
})

test('bridge: where there is none every call says so', async () => {
  for (const operation of OPERATIONS) {
    const call = ABSENT_BRIDGE[operation] as () => Promise<unknown>
    assert.deepEqual(await fails(call(), 'BRIDGE_ABSENT'), { operation })
  }
  const subscription = ABSENT_BRIDGE.subscribe('c', new Ear())
  subscription.end()
  await fails(subscription.confirmed, 'BRIDGE_ABSENT')
})

test('log entry: what is published is read back, and nothing else is taken for one', () => {
  const published = encodeLogEntry(1_700_000_000_123_456, 42, bytes('payload'))
  assert.deepEqual(decodeLogEntry(published), { epoch: 1_700_000_000_123_456, offset: 42, payload: bytes('payload') })
  assert.deepEqual(decodeLogEntry(encodeLogEntry(1, 1, Buffer.alloc(0)))?.payload, Buffer.alloc(0))
  for (const other of [Buffer.alloc(0), published.subarray(0, 15), Buffer.alloc(16), Buffer.alloc(16, 0xff)]) {
    assert.equal(decodeLogEntry(other), undefined)
  }
  assert.equal(decodeLogEntry(encodeLogEntry(1, 1.5, bytes('x'))), undefined)
})
