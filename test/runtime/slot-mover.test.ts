// Main's notices in a move, and what becomes of it when a shard is dead. What threads do with the notices: router.test.ts
// and the faults.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { threadOfSeat } from '../../src/lib/thread.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { SlotTable } from '../../src/placement/slots.ts'
import { SlotMover } from '../../src/runtime/slot-mover.ts'
import type { NoticeToThread } from '../../src/runtime/thread-data.ts'

const MAIN = 0
const SLOT = 7
const [FROM, TO, OTHER] = [0, 1, 2] as const

function create(...seats: readonly number[]) {
  const slots = SlotTable.allocate()
  slots.spread(1)
  const living = new Set(seats.map(threadOfSeat))
  const notices: string[] = []
  const ports: { close(): void }[] = []
  const mover: SlotMover = new SlotMover({
    slots,
    log: createLogger({ level: 'silent', write: () => {}, base: { thread: 'main' } }),
    threads: () => [...living],
    notify(thread: number, notice: NoticeToThread, moved = []) {
      ports.push(...moved)
      if (!living.has(thread)) return
      notices.push(`${notice.kind} > ${thread - threadOfSeat(0)}`)
      if (notice.kind === 'expect') mover.expecting(notice.move.id)
      // As the new owner does: it waits for nobody who is gone.
      if (notice.kind === 'down') mover.ended(1, thread)
    },
    main: { thread: MAIN, shift: () => void notices.push('shift > main') },
  })
  const close = (): void => {
    for (const port of ports) port.close()
  }
  return { slots, living, notices, mover, [Symbol.dispose]: close }
}

test('move: the new owner first, then all, and it ends when both ends say so', async () => {
  using world = create(FROM, TO, OTHER)
  const { mover, notices, slots } = world
  const moved = mover.move(Uint16Array.of(SLOT), FROM, TO)
  await setImmediate()
  assert.deepEqual(notices, [
    'peer > 0',
    'peer > 1',
    'expect > 1',
    'shift > 0',
    'shift > 1',
    'shift > 2',
    'shift > main',
  ])
  assert.equal(slots.shardOf(SLOT), TO)
  mover.ended(1, threadOfSeat(FROM))
  mover.ended(1, threadOfSeat(TO))
  assert.equal(await moved, 'moved')
})

test('move: slots of a shard that is dead move without it', async () => {
  using world = create(TO, OTHER)
  const { mover, notices, slots } = world
  assert.equal(await mover.move(Uint16Array.of(SLOT), FROM, TO), 'cut')
  assert.deepEqual(notices, ['expect > 1', 'shift > 1', 'shift > 2', 'shift > main', 'down > 1'])
  assert.equal(slots.shardOf(SLOT), TO)
})

test('move: does not begin while the new owner is dead', async () => {
  using world = create(FROM, OTHER)
  assert.equal(await world.mover.move(Uint16Array.of(SLOT), FROM, TO), 'dropped')
  assert.deepEqual(world.notices, [])
  assert.equal(world.slots.shardOf(SLOT), FROM)
})

test('join: a shard that was dead gets its port when it is back', () => {
  using world = create(FROM)
  const { mover, notices, living } = world
  mover.join(threadOfSeat(FROM), threadOfSeat(TO))
  assert.deepEqual(notices, [])
  living.add(threadOfSeat(TO))
  mover.join(threadOfSeat(FROM), threadOfSeat(TO))
  mover.join(threadOfSeat(TO), threadOfSeat(FROM))
  assert.deepEqual(notices, ['peer > 0', 'peer > 1'])
})
