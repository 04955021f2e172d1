// What the presence actor answers and tells the feeds of a user's chats, with the store in memory.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PRESENCE_LISTED_MAX, type Present } from '../../../src/services/chat/presence-actor.ts'
import { STORE_CALLS_MAX } from '../../../src/services/chat/store-calls.ts'
import { ActorWorld, LATE_MS, STORE_TIMEOUT_MS, type WorldOptions } from './actor-world.ts'

const DONE = { ok: true }
const START_SECONDS = 1_767_225_600

function statusLine(userId: number, status: string, expiresIn: number, chatId = 1): string {
  return `chat-feed.${chatId} {"packet_type":"Status","user_id":${userId},"status_data":"${status}","expires_in":${expiresIn}}\n`
}

/** Users 2 to 5 take part in chat 2, and user 2 in chat 3 as well. */
function createWorld(options: WorldOptions = {}): ActorWorld {
  const world = new ActorWorld(options)
  world.addUsers(4)
  world.engine.createChat({ name: 'two', type: 'group', creatorId: 2, participants: [3, 4, 5] })
  world.engine.createChat({ name: 'three', type: 'direct', creatorId: 2, participants: [] })
  return world
}

function status(world: ActorWorld, userId: number, text: string): Promise<unknown> {
  return world.answerOf(world.presence.ask('status', { userId, status: text }))
}

function list(world: ActorWorld, after = 0): Promise<readonly Present[]> {
  return world.answerOf(world.presence.ask('list', { after }))
}

async function listed(world: ActorWorld): Promise<string[]> {
  return (await list(world)).map(({ userId, status, expiresIn }) => `${userId} ${status} ${expiresIn}`)
}

test('presence: a change is told to the user’s chats, a renewal only lasts longer', async () => {
  const world = createWorld()
  assert.deepEqual(await status(world, 2, 'online'), DONE)
  assert.deepEqual(world.takePublished(), [statusLine(2, 'online', 60, 2), statusLine(2, 'online', 60, 3)])
  await world.pass(30_500)
  assert.deepEqual(await status(world, 2, 'online'), DONE)
  assert.deepEqual(world.takePublished(), [])
  assert.deepEqual(world.takeCalled(), ['chatIdsOf'])
  await status(world, 3, 'away "for now"')
  assert.deepEqual(world.takePublished(), [statusLine(3, 'away \\"for now\\"', 60, 2)])
  assert.deepEqual(await list(world), [
    { userId: 2, status: 'online', updatedAt: START_SECONDS + 30, expiresIn: 60 },
    { userId: 3, status: 'away "for now"', updatedAt: START_SECONDS + 30, expiresIn: 60 },
  ])
  await status(world, 2, 'away')
  assert.deepEqual(world.takePublished(), [statusLine(2, 'away', 60, 2), statusLine(2, 'away', 60, 3)])
})

test('presence: offline removes, and is told once', async () => {
  const world = createWorld()
  await status(world, 3, 'online')
  world.takePublished()
  assert.deepEqual(await status(world, 3, 'offline'), DONE)
  assert.deepEqual(world.takePublished(), [statusLine(3, 'offline', 0, 2)])
  assert.deepEqual(await status(world, 3, 'offline'), DONE)
  assert.deepEqual(world.takePublished(), [])
  assert.deepEqual(await list(world), [])
})

test('presence: an unknown user is refused', async () => {
  const world = createWorld()
  const refused = { ok: false, chatUnknown: false, text: 'Ошибка БД: FOREIGN KEY constraint failed' }
  assert.deepEqual(await status(world, 99, 'online'), refused)
  assert.deepEqual(await status(world, 99, 'offline'), refused)
  assert.deepEqual(await list(world), [])
})

test('presence: what is not renewed goes after its time, not before, and is told as offline', async () => {
  const world = createWorld()
  await status(world, 2, 'online')
  await world.pass(20_000)
  await status(world, 3, 'online')
  await world.pass(39_999)
  assert.deepEqual(await listed(world), ['2 online 1', '3 online 21'])
  world.takePublished()
  await world.pass(1)
  assert.deepEqual(await listed(world), ['3 online 20'])
  await world.pass(2_200)
  assert.deepEqual(world.takePublished(), [statusLine(2, 'offline', 0, 2), statusLine(2, 'offline', 0, 3)])
  // A renewal moves the end.
  await status(world, 3, 'online')
  await world.pass(59_000)
  assert.deepEqual(world.takePublished(), [])
  await world.pass(3_200)
  assert.deepEqual(world.takePublished(), [statusLine(3, 'offline', 0, 2)])
  assert.deepEqual(await list(world), [])
  // Empty it needs no timer, and goes in turn; the next one begins a new one.
  await world.pass(650_000)
  assert.equal(world.active, 0)
  await status(world, 4, 'online')
  world.takePublished()
  await world.pass(62_200)
  assert.deepEqual(world.takePublished(), [statusLine(4, 'offline', 0, 2)])
})

test('presence: statuses of one user keep their order while the store is asked', async () => {
  const world = createWorld()
  await status(world, 3, 'online')
  world.takePublished()
  world.isHeld = true
  const asked = ['away', 'online', 'offline', 'offline', 'busy', 'busy', 'online'].map((text) =>
    world.presence.ask('status', { userId: 3, status: text }),
  )
  await world.run()
  world.isHeld = false
  const results = await world.answerOf(Promise.all(asked))
  assert.deepEqual(results, Array(7).fill(DONE))
  assert.deepEqual(world.takePublished(), [
    statusLine(3, 'away', 60, 2),
    statusLine(3, 'online', 60, 2),
    statusLine(3, 'offline', 0, 2),
    statusLine(3, 'busy', 60, 2),
    statusLine(3, 'online', 60, 2),
  ])
  // And then it is a renewal again.
  world.takeCalled()
  await status(world, 3, 'online')
  assert.deepEqual(world.takeCalled(), [])
})

test('presence: many that go at once are told in turns, and a move in between loses none', async () => {
  const world = createWorld()
  world.addUsers(300)
  const users = Array.from({ length: 300 }, (_, index) => index + 6)
  world.engine.createChat({ name: 'four', type: 'group', creatorId: 2, participants: users })
  const asked = users.map((userId) => world.presence.ask('status', { userId, status: 'online' }))
  await world.answerOf(Promise.all(asked))
  world.takePublished()
  world.takeCalled()
  world.isHeld = true
  await world.pass(62_200)
  const atOnce = world.takeCalled().length
  assert.ok(atOnce > 0 && atOnce <= 64, `${atOnce} calls at once`)
  await world.move('chat-presence/all')
  assert.equal(world.shards.moving.length, 1)
  world.isHeld = false
  await world.run()
  assert.deepEqual(world.shards.moving, [])
  // Each turn is a timer's, and ends with an answer of the store.
  for (let turn = 0; turn < 6; turn++) await world.pass(10)
  assert.deepEqual(
    world.takePublished(),
    users.map((userId) => statusLine(userId, 'offline', 0, 4)),
  )
  assert.deepEqual(await list(world), [])
})

test('presence: moves with its times', async () => {
  const world = createWorld()
  await status(world, 4, 'away')
  await status(world, 2, 'online')
  await world.pass(30_000)
  await status(world, 4, 'away')
  world.takePublished()
  world.takeCalled()
  await world.move('chat-presence/all')
  assert.deepEqual(await listed(world), ['2 online 30', '4 away 60'])
  await status(world, 2, 'online')
  assert.deepEqual(world.takeCalled(), [])
  await world.pass(50_000)
  await status(world, 2, 'online')
  await world.pass(12_200)
  assert.deepEqual(world.takePublished(), [statusLine(4, 'offline', 0, 2)])
  assert.deepEqual(await listed(world), ['2 online 48'])
})

test('presence: a full table lets the oldest go, and tells it', async () => {
  const world = createWorld({ presenceMax: 3 })
  for (const userId of [2, 3, 4]) {
    await status(world, userId, 'online')
    await world.pass(1_000)
  }
  await status(world, 2, 'online')
  world.takePublished()
  assert.deepEqual(await status(world, 5, 'online'), DONE)
  assert.deepEqual(world.takePublished(), [statusLine(5, 'online', 60, 2), statusLine(3, 'offline', 0, 2)])
  assert.deepEqual(
    (await list(world)).map(({ userId }) => userId),
    [2, 4, 5],
  )
})

test('presence: a list comes by user id in pieces', async () => {
  const world = createWorld()
  const count = PRESENCE_LISTED_MAX + 2
  world.addUsers(count)
  const ids = Array.from({ length: count }, (_, index) => index + 1)
  for (let start = 0; start < count; start += 1_000) {
    const some = ids.slice(start, start + 1_000).reverse()
    await world.answerOf(Promise.all(some.map((userId) => world.presence.ask('status', { userId, status: 'on' }))))
  }
  const first = (await list(world)).map(({ userId }) => userId)
  assert.deepEqual(first, ids.slice(0, PRESENCE_LISTED_MAX))
  const rest = (await list(world, PRESENCE_LISTED_MAX)).map(({ userId }) => userId)
  assert.deepEqual(rest, ids.slice(PRESENCE_LISTED_MAX))
  assert.deepEqual(await list(world, count), [])
  assert.equal((await list(world, -1)).length, PRESENCE_LISTED_MAX)
})

test('presence: whoever changes in the moment of going is not told to be gone', async () => {
  const world = createWorld()
  await status(world, 3, 'online')
  await world.pass(59_900)
  world.takePublished()
  world.isHeld = true
  const changed = world.presence.ask('status', { userId: 3, status: 'away' })
  await world.run()
  await world.pass(100 + LATE_MS)
  assert.deepEqual(world.takeCalled().slice(-2), ['chatIdsOf', 'chatIdsOf'])
  world.isHeld = false
  assert.deepEqual(await world.answerOf(changed), DONE)
  assert.deepEqual(world.takePublished(), [statusLine(3, 'away', 60, 2)])
  assert.deepEqual(await listed(world), ['3 away 60'])
})

test('presence: a store that fails is a typed text, and the actor goes on', async () => {
  const world = createWorld()
  await status(world, 3, 'online')
  world.isHeld = true
  const late = world.presence.ask('status', { userId: 3, status: 'away' })
  await world.run()
  await world.pass(STORE_TIMEOUT_MS + LATE_MS)
  assert.deepEqual(await late, { ok: false, chatUnknown: false, text: 'Ошибка БД: the store did not answer in time' })
  world.isHeld = false
  await world.run()
  assert.deepEqual(await listed(world), ['3 online 57'])
  // Nothing is open any more: a renewal asks nobody.
  world.takeCalled()
  assert.deepEqual(await status(world, 3, 'online'), DONE)
  assert.deepEqual(world.takeCalled(), [])
  // Nobody waits for those whose time is over; they are gone all the same.
  world.isHeld = true
  await world.pass(62_200)
  await world.kill(false)
  world.isHeld = false
  await world.run()
  assert.deepEqual(await list(world), [])
  assert.deepEqual(await status(world, 3, 'online'), DONE)
})

test('presence: one store call more than an actor may have open is refused at once', async () => {
  const world = createWorld()
  world.isHeld = true
  const asked = Array.from({ length: STORE_CALLS_MAX + 1 }, () =>
    world.presence.ask('status', { userId: 2, status: 'online' }),
  )
  await world.run()
  const overloaded = { ok: false, chatUnknown: false, text: 'Ошибка БД: the actor is overloaded' }
  assert.deepEqual(await asked[STORE_CALLS_MAX], overloaded)
  world.isHeld = false
  await world.answerOf(Promise.all(asked))
  world.takeCalled()
  assert.deepEqual(await status(world, 2, 'online'), DONE)
  assert.deepEqual(world.takeCalled(), [])
})

test('presence: calls that fail are not open any more', async () => {
  const world = createWorld({ callsMax: 0 })
  const refused = { ok: false, chatUnknown: false, text: 'Ошибка БД: 0 calls of this thread wait' }
  for (let count = 0; count <= STORE_CALLS_MAX; count += 128) {
    const asked = Array.from({ length: 128 }, () => world.presence.ask('status', { userId: 2, status: 'online' }))
    assert.deepEqual(await world.answerOf(Promise.all(asked)), Array(128).fill(refused))
  }
})
