import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AskTable } from '../../src/actor/ask-table.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'

const TICKS_MS = 10

interface Asked {
  readonly index: number
  readonly sequence: number
  readonly deadlineMs: number
  readonly ends: string[]
}

function create(asksMax: number, generation = 1) {
  const timers = new ManualTimers()
  const table = new AskTable(timers.clock, timers.wheel, asksMax, generation)
  function ask(timeoutMs: number): Asked {
    const ends: string[] = []
    const nowMs = timers.clock.nowMs()
    const index = table.open(
      nowMs + timeoutMs,
      nowMs,
      { kind: 'room', id: '1' },
      'join',
      (value) => void ends.push(`${value}`),
      (error) => void ends.push(error.code),
    )
    return { index, sequence: table.sequence, deadlineMs: timers.clock.nowMs() + timeoutMs, ends }
  }
  return { timers, table, ask }
}

test('ask: ends once, by its answer or by its deadline', () => {
  const { timers, table, ask } = create(4)
  const [answered, refused, silent] = [ask(100), ask(100), ask(100)]
  assert.equal(table.size, 3)
  assert.equal(table.resolve(answered.index, answered.sequence, 'yes'), true)
  assert.equal(table.reject(refused.index, refused.sequence, new PolyloopError('ACTOR_FAILED')), true)
  assert.equal(table.resolve(refused.index, refused.sequence, 'late'), false)
  timers.run(99)
  assert.deepEqual(silent.ends, [])
  timers.run(1 + TICKS_MS)
  assert.equal(table.resolve(silent.index, silent.sequence, 'late'), false)
  assert.deepEqual([answered.ends, refused.ends, silent.ends], [['yes'], ['ACTOR_FAILED'], ['ASK_TIMEOUT']])
  assert.equal(table.size, 0)
  assert.equal(timers.wheel.stats.scheduled, 0)
})

test('ask: the answer to another one of the same place, or of another life, is nobody’s', () => {
  const { table, ask } = create(1)
  const first = ask(100)
  table.resolve(first.index, first.sequence, 1)
  const second = ask(100)
  assert.equal(second.index, first.index)
  assert.equal(table.resolve(second.index, first.sequence, 'old'), false)
  assert.equal(table.resolve(99, second.sequence, 'nowhere'), false)
  assert.notEqual(create(1, 2).ask(100).sequence, create(1, 1).ask(100).sequence)
  assert.deepEqual(second.ends, [])
})

test('ask: full is full, and one less is room', () => {
  const { table, ask } = create(2)
  const first = ask(10)
  ask(10)
  assert.equal(ask(10).index, -1)
  table.resolve(first.index, first.sequence, 1)
  assert.equal(ask(10).index, first.index)
})

test('ask: close ends all that wait, each with its own error', () => {
  const { timers, table, ask } = create(3)
  const all = [ask(10), ask(20)]
  table.close((actor, method) => new PolyloopError('RUNTIME_CLOSED', { actor, method }))
  assert.deepEqual(
    all.map(({ ends }) => ends),
    [['RUNTIME_CLOSED'], ['RUNTIME_CLOSED']],
  )
  assert.equal(timers.wheel.stats.scheduled, 0)
})

test('ask: any order of asks, answers and time ends each exactly once, in time', () => {
  const step = fc.tuple(fc.constantFrom('ask', 'answer', 'wait'), fc.integer({ min: 0, max: 60 }))
  const property = fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
    const { timers, table, ask } = create(8)
    const all: Asked[] = []
    for (const [act, number] of steps) {
      if (act === 'ask') {
        const asked = ask(number)
        if (asked.index >= 0) all.push(asked)
      } else if (act === 'wait') timers.run(number)
      else {
        const asked = all[number % Math.max(1, all.length)]
        if (asked === undefined) continue
        const waits = asked.ends.length === 0
        assert.equal(table.resolve(asked.index, asked.sequence, 'yes'), waits)
      }
      for (const { deadlineMs, ends } of all) {
        assert.ok(ends.length <= 1)
        if (timers.clock.nowMs() > deadlineMs + TICKS_MS) assert.equal(ends.length, 1)
      }
      assert.equal(table.size, all.filter(({ ends }) => ends.length === 0).length)
    }
  })
  fc.assert(property, { seed: 9, numRuns: 300 })
})
