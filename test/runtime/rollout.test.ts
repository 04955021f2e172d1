// What a rollout makes of what its shards answer. Whole reloads: test/faults/reload*.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { SlotTable } from '../../src/placement/slots.ts'
import type { MoveProgress } from '../../src/runtime/connection-mover.ts'
import { Rollout } from '../../src/runtime/rollout.ts'
import { SeatBook } from '../../src/runtime/seat-book.ts'
import { SlotMover } from '../../src/runtime/slot-mover.ts'
import { waitUntil } from '../harness/wait.ts'

const EMPTY: MoveProgress = { moved: 3, failed: 0, remaining: 0, lingering: 0 }

/** Two shards of which the second one, at the end of its time, answers this. */
function create(answers: (MoveProgress | undefined)[]) {
  const did: string[] = []
  const slots = SlotTable.allocate()
  slots.spread(1)
  const log = createLogger({ level: 'silent', write: () => {}, base: { thread: 'main' } })
  const mover = new SlotMover({
    slots,
    log,
    threads: () => [],
    notify: () => {},
    main: { thread: 0, shift: () => {} },
  })
  const note = (what: string) => (seat: number) => Promise.resolve(void did.push(`${what} ${seat}`))
  const rollout = new Rollout({
    book: new SeatBook(2),
    mover,
    slots,
    clock: systemClock,
    log,
    graceMs: () => 0,
    renew: () => Promise.resolve({ shards: 1 }),
    renewAcceptor: () => Promise.resolve(),
    setShardCount: () => {},
    threads: {
      start: note('start'),
      leave: note('leave'),
      retire: note('retire'),
      progress: (seat) => {
        did.push(`progress ${seat}`)
        return Promise.resolve(answers.shift())
      },
      slotsWith: () => Promise.resolve(undefined),
      drain: note('drain'),
      end: note('end'),
      letGo: (seat) => void did.push(`letGo ${seat}`),
    },
  })
  return { rollout, did }
}

async function shrink(answers: (MoveProgress | undefined)[]): Promise<string[]> {
  const { rollout, did } = create(answers)
  assert.equal(rollout.setShards(1).outcome, 'accepted')
  await waitUntil('it is over', () => rollout.report.state === 'idle')
  return did
}

test('rollout: a shard that is too busy to answer is not taken for an empty one', async () => {
  const moving = { ...EMPTY, remaining: 2 }
  const did = await shrink([moving, undefined, undefined, moving, EMPTY])
  const asked = Array.from({ length: 5 }, () => 'progress 1')
  assert.deepEqual(did, ['letGo 1', 'leave 1', 'retire 1', ...asked, 'drain 1', 'end 1'])
})

test('rollout: a shard that does not answer any more is ended', async () => {
  const did = await shrink([])
  assert.deepEqual(did.slice(-3), ['progress 1', 'drain 1', 'end 1'])
  assert.equal(did.filter((what) => what === 'progress 1').length, 10)
})
