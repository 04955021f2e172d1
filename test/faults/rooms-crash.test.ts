// Names and members of rooms when sockets, shards and the room's own shard die: one holder per name, no ghosts, nobody
// locked out for longer than is documented.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { SUSPECT_FORGOTTEN_AFTER_MS } from '../../src/services/rooms/room.ts'
import { ROOM_ID, ROOM_KIND } from '../../src/services/rooms/room-actor.ts'
import type { RoomsMember } from '../harness/rooms-member.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { nameOn, shardOf } from '../harness/shard-key.ts'
import { waitUntil } from '../harness/wait.ts'

const SHARDS = 4
const LOGINS = 200
/** From the crash to the name's freedom: the successor's start, silence, and a look. */
const FREE_MS = SUSPECT_FORGOTTEN_AFTER_MS + 5_000

let rooms: RoomsServer
before(async () => {
  rooms = await RoomsServer.start({ shards: SHARDS, settings: { 'shard.restartBackoff.max': '200ms' } })
})
after(async () => {
  await rooms[Symbol.asyncDispose]()
  assert.deepEqual(rooms.server.stray, [])
})

const home = shardOf(`${ROOM_KIND}/${ROOM_ID}`, SHARDS)

/** Tries until the name is free; answers how long that took. */
async function loginWhenFree(name: string, deadlineMs: number): Promise<{ member: RoomsMember; tookMs: number }> {
  const beganMs = performance.now()
  const member = await waitUntil(
    `${name} is free`,
    async () => {
      const guest = await rooms.open()
      // It may have been given to the shard that is dying.
      if ((await guest.tryLogin(name).catch(() => 0)) === MESSAGE_TYPE.login) return guest
      guest.close()
      return undefined
    },
    deadlineMs,
  )
  return { member, tookMs: performance.now() - beganMs }
}

test('names: of 200 simultaneous logins on all shards one wins, and its name is free when it dies', async () => {
  using observer = await rooms.join('observer')
  const guests = await Promise.all(Array.from({ length: LOGINS }, () => rooms.open()))
  // Not a Login first: its name would place them all on one shard.
  for (const guest of guests) assert.equal(await guest.tryLogin('', MESSAGE_TYPE.utf8), MESSAGE_TYPE.badLogin)
  const used = (await rooms.server.health()).shards.filter(({ connections }) => connections > LOGINS / 10)
  assert.equal(used.length, SHARDS, 'they are on all shards')
  for (let round = 0; round < 3; round++) {
    const waiting = guests.filter(({ hasEnded }) => !hasEnded)
    const answers = await Promise.all(waiting.map((guest) => guest.tryLogin('wanted')))
    const winners = waiting.filter((_, index) => answers[index] === MESSAGE_TYPE.login)
    assert.equal(winners.length, 1)
    assert.equal(answers.filter((type) => type === MESSAGE_TYPE.usernameExists).length, waiting.length - 1)
    assert.equal((await observer.nextOf(MESSAGE_TYPE.login)).from, 'wanted')
    const [winner] = winners
    const diedMs = performance.now()
    winner?.socket.resetAndDestroy()
    await winner?.end()
    assert.equal((await observer.nextOf(MESSAGE_TYPE.logout)).from, 'wanted')
    assert.ok(performance.now() - diedMs < 1_000)
  }
  for (const guest of guests) guest.close()
})

test('crash: members of a shard that dies leave the room, and their names are free soon; others stay', async () => {
  const victim = (home + 1) % SHARDS
  const other = (home + 2) % SHARDS
  using observer = await rooms.join(nameOn(other, SHARDS))
  const names = [nameOn(victim, SHARDS, 1), nameOn(victim, SHARDS, 2)]
  const members = await Promise.all(names.map((name) => rooms.join(name)))
  for (const _ of names) await observer.nextOf(MESSAGE_TYPE.login)
  await rooms.server.kill(victim)
  for (const member of members) await member.end()
  const { member, tookMs } = await loginWhenFree(names[0] ?? '', FREE_MS)
  assert.ok(tookMs < FREE_MS, `${tookMs} ms`)
  const left = [await observer.nextOf(MESSAGE_TYPE.logout), await observer.nextOf(MESSAGE_TYPE.logout)]
  assert.deepEqual(left.map(({ from }) => from).toSorted(), names.toSorted())
  observer.say('still here')
  assert.equal((await member.text()).text, 'still here')
  assert.equal(rooms.server.logged('rooms.members_lost').length, 1)
  await rooms.server.recovered(victim, 1)
  member.close()
})

test("crash: the room's own shard dies: everybody is disconnected, nothing of it is left, and all may come back", async () => {
  const other = (home + 1) % SHARDS
  const names = [nameOn(other, SHARDS, 3), nameOn(home, SHARDS, 3)]
  const members = await Promise.all(names.map((name) => rooms.join(name)))
  const [remote] = members
  remote?.announce(MESSAGE_TYPE.file, 1, 10 * 1024 * 1024)
  remote?.write(Buffer.alloc(1024 * 1024))
  await waitUntil('its file is on disk', () => rooms.files().length === 1)
  await rooms.server.kill(home)
  for (const member of members) await member.end()
  const back = await Promise.all(names.map((name) => loginWhenFree(name, FREE_MS)))
  const [first, second] = back.map(({ member }) => member)
  second?.send(MESSAGE_TYPE.file, 'x', Buffer.alloc(1024 * 1024, 1))
  assert.equal((await first?.nextOf(MESSAGE_TYPE.file))?.bytes, 1024 * 1024)
  await waitUntil('no file is left of either room', () => rooms.files().length === 0)
  assert.deepEqual(rooms.server.logged('services.handler_failed'), [])
  assert.equal((await rooms.server.metrics()).sum('polyloop_rooms_dropped_recipients_total'), 0, 'nobody was too slow')
  assert.ok(rooms.server.logged('rooms.room_lost').length > 0)
  for (const { member } of back) member.close()
})
