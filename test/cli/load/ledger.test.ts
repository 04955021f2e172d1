import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LEDGER_MESSAGES_MAX, Ledger, VERDICT } from '../../../src/cli/load/ledger.ts'

function ledgerWith(messages: number, ordered = true): Ledger {
  const ledger = new Ledger(ordered, 2)
  for (let sequence = 0; sequence < messages; sequence++) ledger.sent(sequence, sequence)
  return ledger
}

function writtenOff(ledger: Ledger, sentBeforeMs: number): { dueMs: number; skipped: boolean }[] {
  const found: { dueMs: number; skipped: boolean }[] = []
  ledger.writeOff(sentBeforeMs, (dueMs, skipped) => found.push({ dueMs, skipped }))
  return found
}

test('ledger: answers in order settle one message each', () => {
  const ledger = ledgerWith(5)
  for (let sequence = 0; sequence < 5; sequence++) {
    assert.equal(ledger.inFlight, 5 - sequence)
    assert.equal(ledger.settle(sequence), VERDICT.answered)
    assert.equal(ledger.dueMs, sequence)
  }
  assert.equal(ledger.unanswered, 0)
  assert.equal(ledger.settle(4), VERDICT.duplicate)
  assert.equal(ledger.settle(5), VERDICT.unexpected)
})

test('ledger: what is skipped over is no longer in flight, and reordered if it comes', () => {
  const ledger = ledgerWith(4)
  assert.equal(ledger.settle(2), VERDICT.answered)
  assert.equal(ledger.inFlight, 1)
  assert.equal(ledger.unanswered, 3)
  assert.equal(ledger.settle(1), VERDICT.reordered)
  assert.equal(ledger.settle(1), VERDICT.duplicate)
  assert.deepEqual(writtenOff(ledger, Infinity), [
    { dueMs: 0, skipped: true },
    { dueMs: 3, skipped: false },
  ])
  assert.equal(ledger.unanswered, 0)
  assert.equal(ledger.settle(0), VERDICT.late)
  assert.equal(ledger.settle(0), VERDICT.duplicate)
})

test('ledger: an unordered transport knows no reordering', () => {
  const ledger = ledgerWith(3, false)
  assert.equal(ledger.settle(2), VERDICT.answered)
  assert.equal(ledger.inFlight, 2)
  assert.equal(ledger.guess(), -1)
  assert.equal(ledger.settle(1), VERDICT.answered)
  assert.equal(ledger.guess(), 0)
})

test('ledger: writing off stops at what was sent in time', () => {
  const ledger = ledgerWith(6)
  assert.deepEqual(
    writtenOff(ledger, 2).map(({ dueMs }) => dueMs),
    [0, 1],
  )
  assert.deepEqual(writtenOff(ledger, 2), [])
  assert.equal(ledger.inFlight, 4)
  assert.equal(ledger.settle(2), VERDICT.answered)
})

test('ledger: full at its limit; giving up what was skipped makes room', () => {
  const ledger = ledgerWith(LEDGER_MESSAGES_MAX - 1)
  assert.equal(ledger.full, false)
  ledger.sent(0, 0)
  assert.equal(ledger.full, true)
  ledger.settle(LEDGER_MESSAGES_MAX - 1)
  assert.equal(ledger.full, true)
  let lost = 0
  ledger.writeOffSkipped(() => lost++)
  assert.equal(lost, LEDGER_MESSAGES_MAX - 1)
  assert.equal(ledger.full, false)
  assert.equal(ledger.inFlight, 0)
})

test('ledger: agrees with a plain model, whatever happens', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('send' as const) }),
    fc.record({ kind: fc.constant('settle' as const), back: fc.nat(12) }),
    fc.record({ kind: fc.constant('writeOff' as const), age: fc.nat(20) }),
  )
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { maxLength: 300 }), (ordered, steps) => {
      const ledger = new Ledger(ordered, 2)
      const states: ('out' | 'answered' | 'off')[] = []
      let top = 0
      for (const action of steps) {
        if (action.kind === 'send') {
          assert.equal(ledger.next, states.length)
          ledger.sent(states.length, states.length)
          states.push('out')
        } else if (action.kind === 'settle') {
          const sequence = Math.max(0, states.length - action.back)
          const state = states[sequence]
          const late = state === 'out' && sequence < top && ordered ? VERDICT.reordered : VERDICT.answered
          const expected = { out: late, answered: VERDICT.duplicate, off: VERDICT.late, none: VERDICT.unexpected }
          assert.equal(ledger.settle(sequence), expected[state ?? 'none'])
          if (state === 'out') top = Math.max(top, sequence + 1)
          if (state !== undefined) states[sequence] = 'answered'
        } else {
          const before = states.length - action.age
          const expected: number[] = []
          for (const [sequence, state] of states.entries()) {
            if (sequence < before && state === 'out') expected.push(sequence)
          }
          assert.deepEqual(
            writtenOff(ledger, before),
            expected.map((dueMs) => ({ dueMs, skipped: dueMs < top })),
          )
          for (const sequence of expected) states[sequence] = 'off'
          if (expected.length > 0) top = Math.max(top, (expected.at(-1) ?? 0) + 1)
        }
        assert.equal(ledger.unanswered, states.filter((state) => state === 'out').length)
      }
    }),
  )
})
