import assert from 'node:assert/strict'
import { test } from 'node:test'
import { slotOfTopic } from '../../src/actor/topic-definition.ts'
import { slotOf } from '../../src/placement/slots.ts'
import { Batch } from '../../src/services/rooms/batch.ts'
import {
  FORGOTTEN_AFTER_MS,
  Room,
  type RoomOutput,
  SUSPECT_FORGOTTEN_AFTER_MS,
  WINDOW_BYTES,
} from '../../src/services/rooms/room.ts'
import { FEED, ROOM_ID, ROOM_KIND } from '../../src/services/rooms/room-actor.ts'
import { RECORD_KIND, type RoomRecord } from '../../src/services/rooms/room-record.ts'
import type { Turn, TurnAnswer, TurnItem, TurnResult } from '../../src/services/rooms/turn.ts'

const EPOCH = 7

class World implements RoomOutput {
  room = this.create()
  nowMs = 1_000
  wallMs = 0
  blocked = false
  readonly records: RoomRecord[] = []
  readonly #sequences = new Map<string, number>()

  create(): Room {
    return new Room(EPOCH, 1_000, (file) => `/spool/${file}`)
  }

  publish(bytes: Buffer): void {
    this.records.push(...new Batch(bytes).records)
  }

  turn(life: string, items: readonly TurnItem[], change: Partial<Turn> = {}): TurnAnswer {
    const sequence = change.sequence ?? (this.#sequences.get(life) ?? 0) + 1
    const answer = this.room.turn({ life, shard: 0, epoch: EPOCH, consumed: 1e9, items, sequence, ...change }, this)
    if (answer.state === 'done') this.#sequences.set(life, sequence)
    return answer
  }

  /** The results of one turn. */
  do(life: string, ...items: TurnItem[]): readonly TurnResult[] {
    const answer = this.turn(life, items)
    assert.equal(answer.state, 'done')
    return answer.state === 'done' ? answer.results : []
  }

  /** What was said since the last call. */
  take(): RoomRecord[] {
    return this.records.splice(0)
  }
}

const login = (id: number, name: string): TurnItem => ({ kind: 'login', id, name })
const say = (id: number, content: string, to?: string): TurnItem => ({
  kind: 'say',
  id,
  type: 7,
  to,
  content: Buffer.from(content),
})

test('room: its actor and its topic are in one slot, so they live and die together', () => {
  assert.equal(slotOfTopic(FEED), slotOf(`${ROOM_KIND}/${ROOM_ID}`))
})

test('room: a name has one holder, and is free behind its leave', () => {
  const world = new World()
  assert.deepEqual(world.do('a', login(1, 'bob'), login(2, 'bob')), ['accepted', 'exists'])
  assert.deepEqual(world.do('b', login(3, 'bob')), ['exists'])
  assert.deepEqual(world.do('a', { kind: 'leave', id: 1 }, login(2, 'bob'), { kind: 'leave', id: 1 }), [
    'done',
    'accepted',
    'gone',
  ])
  assert.deepEqual(
    world.take().map(({ kind, subject }) => [kind, subject]),
    [
      [RECORD_KIND.joined, 1],
      [RECORD_KIND.left, 1],
      [RECORD_KIND.joined, 2],
    ],
  )
})

test('room: a turn that is asked again is done once', () => {
  const world = new World()
  world.do('a', login(1, 'bob'))
  const first = world.turn('a', [say(1, 'once')], { sequence: 2 })
  assert.deepEqual(world.turn('a', [say(1, 'once')], { sequence: 2 }), first)
  assert.equal(world.take().length, 2)
})

test('room: who speaks of another epoch, or in the middle, has lost its members', () => {
  const world = new World()
  assert.equal(world.turn('a', [], { epoch: 8 }).state, 'lost')
  assert.equal(world.turn('a', [], { sequence: 2 }).state, 'lost')
  assert.equal(world.turn('a', [], { epoch: 0, sequence: 1 }).state, 'done')
})

test('room: private messages are for two, those to oneself for one, and strangers say nothing', () => {
  const world = new World()
  world.do('a', login(1, 'alice'), login(2, 'bob'))
  world.take()
  assert.deepEqual(world.do('a', say(1, 'x', 'bob'), say(1, 'x', 'alice'), say(1, 'x', 'nobody'), say(9, 'x')), [
    'private',
    'private',
    'recipient',
    'gone',
  ])
  const [toBob, toSelf, answer, ...rest] = world.take()
  assert.deepEqual([toBob?.kind, toBob?.subject, toBob?.second], [RECORD_KIND.private, 2, 1])
  assert.deepEqual([toSelf?.subject, toSelf?.second], [1, 0])
  assert.deepEqual(
    [answer?.kind, answer?.subject, answer?.frame.toString().endsWith('User nobody is not in the room')],
    [RECORD_KIND.private, 1, true],
  )
  assert.deepEqual(rest, [])
})

test('room: threads that are silent lose their members, sooner if they have a successor', () => {
  const world = new World()
  world.do('old', login(1, 'old'))
  world.turn('other', [login(2, 'other')], { shard: 1 })
  world.turn('new', [], { sequence: 1 })
  world.nowMs += SUSPECT_FORGOTTEN_AFTER_MS - 1
  assert.equal(world.room.look(world), 0)
  world.turn('old', [])
  world.nowMs += SUSPECT_FORGOTTEN_AFTER_MS - 1
  assert.equal(world.room.look(world), 0, 'in a reload both are heard of')
  world.nowMs += 1
  assert.equal(world.room.look(world), 1)
  assert.deepEqual(world.do('new', login(3, 'old')), ['accepted'])
  world.nowMs += FORGOTTEN_AFTER_MS
  assert.equal(world.room.look(world), 2)
  assert.equal(world.room.size + world.room.lives, 0)
  assert.equal(world.turn('old', []).state, 'lost')
})

test('room: a shard that moves along keeps its members in a reload', () => {
  const world = new World()
  world.do('old', login(1, 'bob'))
  world.do('new', { kind: 'moved', id: 1 })
  world.nowMs += SUSPECT_FORGOTTEN_AFTER_MS
  world.turn('new', [])
  world.room.look(world)
  assert.deepEqual([world.room.size, world.room.lives], [1, 1])
  assert.deepEqual(world.do('new', { kind: 'moved', id: 9 }), ['gone'])
})

test('room: who does not arrive on another thread has left, with what it was sending', () => {
  const world = new World()
  world.do('a', login(1, 'alice'), login(2, 'bob'), login(3, 'carol'), { kind: 'spool', id: 1, bytes: 100 })
  world.do('a', { kind: 'away', id: 1 }, { kind: 'away', id: 2 }, login(4, 'dave'))
  world.do('b', { kind: 'moved', id: 2 }, { kind: 'moved', id: 3 })
  world.do('a', { kind: 'away', id: 3 })
  world.nowMs += FORGOTTEN_AFTER_MS - 1
  for (const life of ['a', 'b']) world.turn(life, [])
  assert.equal(world.room.look(world), 0)
  world.nowMs += 1
  assert.equal(world.room.look(world), 1, 'those that arrived stay, also when that was known before they had gone')
  assert.deepEqual([world.room.size, world.room.ledger.bytes], [3, 0])
  assert.deepEqual(world.do('b', { kind: 'moved', id: 1 }, login(5, 'alice')), ['gone', 'accepted'])
})

test('room: waits for shards with members that have not got what was said, for a moment', () => {
  const world = new World()
  const large = say(1, 'x'.repeat(WINDOW_BYTES / 2))
  world.do('a', login(1, 'alice'))
  world.turn('b', [login(2, 'bob')], { shard: 1, consumed: 0 })
  world.turn('idle', [], { shard: 2, consumed: 0 })
  assert.equal(world.turn('a', [large]).state, 'done')
  assert.equal(world.turn('a', [large]).state, 'done')
  assert.equal(world.turn('a', [large]).state, 'busy')
  assert.equal(world.turn('a', []).state, 'done', 'it still hears that they live')
  const last = world.records.at(-1)?.position ?? 0
  world.turn('b', [], { shard: 1, consumed: last })
  assert.equal(world.turn('a', [large, large]).state, 'done')
  assert.equal(world.turn('a', [large]).state, 'busy')
  world.nowMs += 1_000
  assert.equal(world.turn('a', [large]).state, 'done', 'nobody waits for a thread that may be dead')
  world.blocked = true
  assert.equal(world.turn('a', [large]).state, 'busy')
})

test('room: a shard whose last member has gone may say so, whatever that member did not get', () => {
  const world = new World()
  const half = say(1, 'x'.repeat(WINDOW_BYTES / 2))
  world.do('a', login(1, 'alice'))
  world.turn('b', [login(2, 'bob')], { shard: 1, consumed: 0 })
  assert.equal(world.turn('a', [half, half]).state, 'done')
  assert.equal(world.turn('a', [half]).state, 'busy')
  const end: TurnItem[] = [say(2, 'bye'), { kind: 'leave', id: 2 }, { kind: 'over', id: 2 }]
  assert.equal(world.turn('b', end, { shard: 1, consumed: 0 }).state, 'busy')
  assert.equal(world.turn('b', end, { shard: 1, consumed: Number.MAX_SAFE_INTEGER }).state, 'done')
  assert.equal(world.turn('a', [half]).state, 'done')
  world.turn('b', [login(3, 'carol')], { shard: 1, consumed: 0 })
  assert.equal(world.turn('a', [half, half]).state, 'done')
  assert.equal(world.turn('a', [half]).state, 'busy', 'its next member is waited for again')
})

test('room: the spool is given away up to its limit, and a file is gone with its last reader', () => {
  const world = new World()
  world.do('a', login(1, 'alice'), login(2, 'bob'), login(3, 'carol'))
  const [file, full] = world.do('a', { kind: 'spool', id: 1, bytes: 600 }, { kind: 'spool', id: 1, bytes: 401 })
  assert.deepEqual(file, { file: 1, path: '/spool/1', bytes: 600 })
  assert.equal(full, 'full')
  assert.deepEqual(
    world.do('a', { kind: 'grow', id: 1, file: 1, bytes: 400 }, { kind: 'grow', id: 1, file: 1, bytes: 1 }),
    ['done', 'full'],
  )
  world.take()
  const spooled = { file: 1, path: '/spool/1', bytes: 900 }
  assert.deepEqual(world.do('a', { kind: 'say', id: 1, type: 8, fileName: 'x', spooled }), ['room'])
  assert.deepEqual(world.take()[0]?.spooled, spooled)
  assert.equal(world.room.ledger.bytes, 900)
  world.do('a', { kind: 'abandon', id: 1, file: 1 }, { kind: 'read', id: 1, file: 1 }, { kind: 'leave', id: 2 })
  assert.deepEqual(world.room.ledger.takeUnneeded(), [])
  world.do('a', { kind: 'read', id: 3, file: 1 })
  assert.deepEqual(world.room.ledger.takeUnneeded(), [], 'who leaves still gets what was said before')
  world.do('a', { kind: 'over', id: 2 })
  assert.deepEqual([world.room.ledger.takeUnneeded(), world.room.ledger.bytes], [['/spool/1'], 0])
})

test('room: what a sender does not finish is given back, also by a thread that died; never by another', () => {
  const world = new World()
  world.do('a', login(1, 'alice'))
  world.do('b', login(2, 'bob'))
  world.do('a', { kind: 'spool', id: 1, bytes: 10 }, { kind: 'spool', id: 1, bytes: 10 })
  world.do('b', { kind: 'spool', id: 2, bytes: 10 }, { kind: 'abandon', id: 2, file: 1 })
  assert.equal(world.room.ledger.bytes, 30)
  world.do('a', { kind: 'abandon', id: 1, file: 1 })
  world.do('c', { kind: 'moved', id: 2 })
  world.nowMs += FORGOTTEN_AFTER_MS
  world.turn('c', [])
  world.room.look(world)
  assert.deepEqual(world.room.ledger.takeUnneeded(), ['/spool/1', '/spool/2'])
  const nobody = world.do('c', say(2, 'x'), {
    kind: 'say',
    id: 2,
    type: 8,
    to: 'nobody',
    spooled: { file: 3, path: '/spool/3', bytes: 10 },
  })
  assert.deepEqual(nobody, ['room', 'recipient'])
  assert.deepEqual(world.room.ledger.takeUnneeded(), ['/spool/3'])
})

test('room: who leaves on a thread that dies is waited for no longer', () => {
  const world = new World()
  world.do('a', login(1, 'alice'), { kind: 'spool', id: 1, bytes: 10 })
  world.do('a', { kind: 'say', id: 1, type: 8, fileName: 'x', spooled: { file: 1, path: '/spool/1', bytes: 10 } })
  world.do('a', { kind: 'leave', id: 1 })
  world.room = new Room(EPOCH, 1_000, (file) => `/spool/${file}`, structuredClone(world.room.freeze()))
  assert.deepEqual(world.room.ledger.takeUnneeded(), [])
  world.nowMs += FORGOTTEN_AFTER_MS
  world.room.look(world)
  assert.deepEqual(world.room.ledger.takeUnneeded(), ['/spool/1'])
})

test('room: goes on elsewhere with all it knows', () => {
  const world = new World()
  world.do('a', login(1, 'alice'), { kind: 'spool', id: 1, bytes: 10 })
  const frozen = structuredClone(world.room.freeze())
  assert.equal(world.room.ledger.bytes, 0, 'the metric of the thread it leaves')
  world.room = new Room(EPOCH, 1_000, (file) => `/spool/${file}`, frozen)
  assert.deepEqual(world.do('a', login(2, 'alice'), { kind: 'spool', id: 1, bytes: 990 }), [
    'exists',
    { file: 2, path: '/spool/2', bytes: 990 },
  ])
  const positions = world.take().map(({ position }) => position)
  world.do('a', say(1, 'x'))
  assert.ok((world.take()[0]?.position ?? 0) > (positions.at(-1) ?? 0))
})
