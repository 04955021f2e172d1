// What only the local engine has: its own memory, and its own clock.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BridgeCall } from '../../src/bridge/bridge-engine.ts'
import { LocalEngine } from '../../src/bridge/local-engine.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { bytes } from './bridge-fixture.ts'

const DAY_SECONDS = 86_400

function engineOf(memoryBytesMax = 10_000): { timers: ManualTimers; run: (call: BridgeCall) => Promise<unknown> } {
  const timers = new ManualTimers()
  const events = { onMessage: () => {}, onGap: () => {}, onState: () => {} }
  const engine = new LocalEngine(
    { clock: timers.clock, wheel: timers.wheel, memoryBytesMax, readBytesMax: 1_000 },
    events,
  )
  const run = async (call: BridgeCall): Promise<unknown> => {
    const outcome = await engine.run(call)
    return outcome.ok ? outcome.value : `${outcome.code}: ${outcome.problem}`
  }
  return { timers, run }
}

const set = (key: string, length: number, ttlSeconds?: number): BridgeCall => ({
  operation: 'set',
  argument: { key, value: Buffer.alloc(length), ttlSeconds },
})
const append = (payload: Buffer, countMax = 100): BridgeCall => ({
  operation: 'append',
  argument: { log: 'log', payload, countMax, ttlSeconds: 10 },
})
const get = (key: string): BridgeCall => ({ operation: 'get', argument: { key } })

test('local engine: full, then as empty as before', async () => {
  const { timers, run } = engineOf()
  const full = 'BRIDGE_REFUSED: its memory is full (10000 bytes)'
  for (let round = 0; round < 3; round++) {
    assert.equal(await run(set('k', 9_799)), undefined, 'key, value and 200 bytes')
    assert.equal(await run(set('l', 0)), full)
    assert.equal(await run(append(bytes('x'))), full)
    assert.equal(await run(set('k', 9_800)), full)
    assert.deepEqual(await run(get('k')), Buffer.alloc(9_799), 'what was there stays')
    assert.equal(await run(set('k', 10)), undefined)
    assert.equal(await run({ operation: 'remove', argument: { key: 'k' } }), true)
    assert.equal(await run(set('k', 9_799, 5)), undefined)
    timers.run(5_300)
    let offset = 0
    while (((await run(append(Buffer.alloc(100)))) as { offset?: number }).offset !== undefined) offset++
    assert.equal(offset, 32, 'each is 300 bytes')
    timers.run(10_300)
  }
})

test('local engine: a log that keeps few entries needs no more than those', async () => {
  const { run } = engineOf(1_000)
  for (let offset = 1; offset <= 100; offset++) {
    assert.equal(((await run(append(Buffer.alloc(100), 1))) as { offset: number }).offset, offset)
  }
})

test('local engine: a key ends at its time and not before, also after months', async () => {
  const { timers, run } = engineOf()
  await run(set('short', 1, 10))
  await run(set('long', 1, 60 * DAY_SECONDS))
  timers.run(9_999)
  assert.deepEqual(await run(get('short')), Buffer.alloc(1))
  timers.run(1)
  assert.equal(await run(get('short')), undefined)
  for (let day = 0; day < 59; day++) timers.run(DAY_SECONDS * 1_000)
  assert.deepEqual(await run(get('long')), Buffer.alloc(1))
  timers.run(DAY_SECONDS * 1_000)
  assert.equal(await run(get('long')), undefined)
  timers.run(3_000)
  assert.equal(timers.wheel.stats.scheduled, 0)
})
