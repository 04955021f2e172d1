import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PolyloopError } from '../../src/lib/errors.ts'
import { EVERYTHING, RoomLink } from '../../src/services/rooms/room-link.ts'
import type { Turn, TurnAnswer, TurnItem, TurnResult } from '../../src/services/rooms/turn.ts'

/** A link whose room answers when a test says so, and whose time passes when it says so. */
class World {
  readonly turns: Turn[] = []
  readonly results: (TurnResult | undefined)[] = []
  lost = 0
  members = false
  readonly link = new RoomLink({
    life: 'a',
    shard: 0,
    ask: (turn) => {
      this.turns.push(turn)
      this.#open = Promise.withResolvers<TurnAnswer>()
      return this.#open.promise
    },
    after: (_ms, callback) => {
      this.#timers.push(callback)
      return () => this.#timers.splice(this.#timers.indexOf(callback), 1)
    },
    lost: () => this.lost++,
    failed: () => {},
    hasMembers: () => this.members,
  })
  #open = Promise.withResolvers<TurnAnswer>()
  readonly #timers: (() => void)[] = []

  push(...items: TurnItem[]): Promise<void> {
    for (const item of items) this.link.push(item, (result) => this.results.push(result))
    return settled()
  }

  answer(answer: TurnAnswer): Promise<void> {
    this.#open.resolve(answer)
    return settled()
  }

  fail(code: 'ASK_TIMEOUT' | 'MESSAGE_TOO_LARGE'): Promise<void> {
    this.#open.reject(new PolyloopError(code))
    return settled()
  }

  fire(): Promise<void> {
    for (const callback of this.#timers.splice(0)) callback()
    return settled()
  }

  get last(): Turn | undefined {
    return this.turns.at(-1)
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const leave = (id: number): TurnItem => ({ kind: 'leave', id })
const login = (id: number): TurnItem => ({ kind: 'login', id, name: 'bob' })
const done = (...results: TurnResult[]): TurnAnswer => ({ state: 'done', epoch: 7, results, published: 0 })

test('link: one turn at a time, with all that came meanwhile, in order', async () => {
  const world = new World()
  await world.push(leave(1), leave(2))
  await world.push(leave(3))
  assert.equal(world.turns.length, 1)
  assert.deepEqual([world.last?.sequence, world.last?.epoch, world.last?.items], [1, 0, [leave(1), leave(2)]])
  assert.ok(world.link.bytes > 0)
  await world.answer(done('done', 'gone'))
  assert.deepEqual([world.last?.sequence, world.last?.epoch, world.last?.items], [2, 7, [leave(3)]])
  await world.answer(done('done'))
  assert.deepEqual(world.results, ['done', 'gone', 'done'])
  assert.equal(world.link.bytes, 0)
  assert.equal(world.turns.length, 2)
})

test('link: a turn that is busy or fails is asked again as it is', async () => {
  const world = new World()
  await world.push(leave(1))
  await world.answer({ state: 'busy', epoch: 7 })
  await world.push(leave(2))
  assert.equal(world.turns.length, 1, 'after a moment')
  await world.fire()
  await world.fail('ASK_TIMEOUT')
  await world.fire()
  assert.deepEqual(
    world.turns.map(({ sequence, items }) => [sequence, items.length]),
    [
      [1, 1],
      [1, 1],
      [1, 1],
    ],
  )
})

test('link: when the room began anew, logins are asked again there, and nothing else', async () => {
  const world = new World()
  await world.push(leave(1), login(2))
  await world.push(leave(3), login(4))
  await world.answer({ state: 'lost', epoch: 9 })
  assert.equal(world.lost, 1)
  assert.deepEqual(world.results, [undefined, undefined])
  assert.deepEqual([world.last?.sequence, world.last?.epoch, world.last?.items], [1, 9, [login(2), login(4)]])
  assert.equal(world.link.learn(7), false)
  assert.equal(world.link.learn(9), true)
})

test('link: who has left while its login was asked again does not stay in the new room', async () => {
  const world = new World()
  const over: TurnItem = { kind: 'over', id: 2 }
  await world.push(leave(1), login(2))
  await world.push(leave(2), over, leave(3))
  await world.answer({ state: 'lost', epoch: 9 })
  assert.deepEqual(world.last?.items, [login(2), leave(2), over])
})

test('link: a record of another room is noticed at once, and answers of the former one are not heard', async () => {
  const world = new World()
  world.link.begunAnew(7)
  assert.equal(world.lost, 0, 'it did not know a room')
  await world.push(leave(1))
  await world.answer(done('done'))
  await world.push(leave(2))
  const answerOld = world.answer.bind(world, done('done'))
  world.link.begunAnew(8)
  assert.deepEqual([world.lost, world.results], [1, ['done', undefined]])
  await answerOld()
  await world.push(login(3))
  assert.deepEqual([world.last?.sequence, world.last?.epoch], [1, 8])
})

test('link: tells of what it got, in steps, and that its members live', async () => {
  const world = new World()
  world.members = true
  world.link.consumed(1_000)
  await settled()
  assert.equal(world.turns.length, 0)
  world.link.consumed(128 * 1024)
  await settled()
  assert.deepEqual([world.last?.consumed, world.last?.items], [128 * 1024, []])
  await world.answer(done())
  world.link.beat()
  await world.fire()
  assert.equal(world.turns.length, 2)
  await world.answer(done())
  world.members = false
  await world.fire()
  world.link.consumed(1024 * 1024)
  await settled()
  assert.equal(world.turns.length, 2)
})

test('link: without members all of the room has come, whatever was on its way to those that were here', async () => {
  const world = new World()
  world.members = true
  world.link.consumed(1_000)
  await world.push(leave(1))
  assert.equal(world.last?.consumed, 1_000)
  world.members = false
  await world.answer({ state: 'busy', epoch: 7 })
  await world.fire()
  assert.equal(world.last?.consumed, EVERYTHING)
  await world.answer(done('done'))
  world.members = true
  await world.push(leave(2))
  assert.equal(world.last?.consumed, 1_000)
})

test('link: turns are of limited length; what does not fit alone is not sent', async () => {
  const world = new World()
  const say = (bytes: number): TurnItem => ({ kind: 'say', id: 1, type: 7, content: Buffer.alloc(bytes) })
  await world.push(...Array.from({ length: 300 }, (_, id) => leave(id)))
  assert.ok((world.last?.items.length ?? 0) <= 256)
  const small = new World()
  await small.push(say(200_000), say(100_000), leave(1))
  assert.equal(small.last?.items.length, 1)
  await small.answer(done('room'))
  assert.equal(small.last?.items.length, 2)
  await small.fail('MESSAGE_TOO_LARGE')
  await small.fire()
  assert.equal(small.last?.items.length, 1)
  await small.fail('MESSAGE_TOO_LARGE')
  await small.fire()
  assert.deepEqual(small.results, ['room', 'gone'])
  assert.deepEqual(small.last?.items, [], 'the number of the turn is used')
  await small.answer(done())
  assert.deepEqual(small.last?.items, [leave(1)])
})

test('link: stops when everything was said, or after a while', async () => {
  const idle = new World()
  await idle.link.stop()
  await idle.push(leave(1))
  assert.equal(idle.turns.length, 0)
  for (const isAnswered of [true, false]) {
    const world = new World()
    let stopped = false
    await world.push(leave(1))
    await world.push(leave(2))
    void world.link.stop().then(() => {
      stopped = true
    })
    await world.answer(done('done'))
    assert.deepEqual([stopped, world.last?.items], [false, [leave(2)]])
    await (isAnswered ? world.answer(done('done')) : world.fire())
    assert.equal(stopped, true)
    await world.push(leave(3))
    assert.deepEqual([world.turns.length, world.results.length], [2, isAnswered ? 2 : 1])
  }
})

test('link: what comes while a login is answered does not tell the room that nobody is waited for here', async () => {
  const world = new World()
  const answered: unknown[] = []
  world.link.push(login(1), (...outcome) => {
    answered.push(outcome)
    world.members = true
  })
  await settled()
  // Of a flood that is not for it.
  world.link.consumed(1024 * 1024)
  await world.answer({ ...done('accepted'), published: 2_000_000 } as TurnAnswer)
  assert.deepEqual(answered, [['accepted', 2_000_000]])
  assert.deepEqual(
    world.turns.map(({ consumed }) => consumed),
    [EVERYTHING, 1024 * 1024],
  )
  world.members = false
  world.link.consumed(4 * 1024 * 1024)
  await world.answer(done())
  assert.equal(world.turns.length, 2)
})
