import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type ActorKindReport,
  type ActorsReport,
  DEEPEST_MAX,
  HANDLERS_MAX,
  mergeActorReports,
  NO_ACTORS,
} from '../../src/observe/actor-report.ts'

function kindOf(kind: string, values: Partial<ActorKindReport> = {}): ActorKindReport {
  return {
    kind,
    active: 1,
    mailbox_depth: 0,
    messages: { ok: 0, failed: 0, refused: 0, dead: 0 },
    handlers: [],
    ...values,
  }
}

function handlerOf(method: string, count: number, mean: number, max = mean): ActorKindReport['handlers'][number] {
  return { method, count, mean_seconds: mean, max_seconds: max }
}

test('actor report: kinds of several shards become one row each, by name', () => {
  const one: ActorsReport = {
    kinds: [
      kindOf('room', { active: 2, mailbox_depth: 5, messages: { ok: 10, failed: 1, refused: 2, dead: 3 } }),
      kindOf('counter'),
    ],
    deepest: [],
    dead_letters: { mailbox_full: 3 },
  }
  const other: ActorsReport = {
    kinds: [kindOf('room', { active: 3, mailbox_depth: 4, messages: { ok: 1, failed: 1, refused: 1, dead: 1 } })],
    deepest: [],
    dead_letters: { mailbox_full: 1, expired: 2 },
  }
  assert.deepEqual(mergeActorReports([one, NO_ACTORS, other]), {
    kinds: [
      kindOf('counter'),
      kindOf('room', { active: 5, mailbox_depth: 5, messages: { ok: 11, failed: 2, refused: 3, dead: 4 } }),
    ],
    deepest: [],
    dead_letters: { mailbox_full: 4, expired: 2 },
  })
})

test('actor report: the mean of a handler is weighted by its calls, and the slowest come first', () => {
  const one = kindOf('room', { handlers: [handlerOf('join', 1, 0.4, 0.4), handlerOf('say', 5, 0.3)] })
  const other = kindOf('room', { handlers: [handlerOf('join', 3, 0.2, 0.9), handlerOf('never', 0, 0)] })
  const [room] = mergeActorReports([one, other].map((kind) => ({ ...NO_ACTORS, kinds: [kind] }))).kinds
  assert.ok(room !== undefined)
  assert.deepEqual(
    room.handlers.map(({ method, count, max_seconds }) => [method, count, max_seconds]),
    [
      ['say', 5, 0.3],
      ['join', 4, 0.9],
      ['never', 0, 0],
    ],
  )
  assert.ok(Math.abs((room.handlers[1]?.mean_seconds ?? 0) - 0.25) < 1e-12)
})

test('actor report: lists are cut at their limits, the fullest mailboxes of all shards first', () => {
  const shards = [0, 1].map((shard): ActorsReport => {
    const handlers = Array.from({ length: HANDLERS_MAX }, (_, index) => handlerOf(`m${shard}-${index}`, 1, index))
    const deepest = Array.from({ length: DEEPEST_MAX }, (_, index) => ({
      actor: `room/${shard}-${index}`,
      shard,
      mailbox_depth: 100 - 2 * index - shard,
    }))
    return { kinds: [kindOf('room', { handlers })], deepest, dead_letters: {} }
  })
  const { kinds, deepest } = mergeActorReports(shards)
  assert.equal(kinds[0]?.handlers.length, HANDLERS_MAX)
  assert.deepEqual(
    deepest.map(({ mailbox_depth }) => mailbox_depth),
    [100, 99, 98, 97, 96, 95, 94, 93, 92, 91],
  )
})

test('actor report: in which order the shards answer makes no difference to the sums', () => {
  const kind = fc.record({ kind: fc.constantFrom('a', 'b', 'c'), active: fc.nat(100), mailbox_depth: fc.nat(100) })
  fc.assert(
    fc.property(fc.array(fc.array(kind, { maxLength: 3 }), { maxLength: 5 }), (shards) => {
      const reports = shards.map((kinds) => ({ ...NO_ACTORS, kinds: kinds.map((row) => kindOf(row.kind, row)) }))
      assert.deepEqual(mergeActorReports(reports), mergeActorReports(reports.toReversed()))
    }),
  )
})
