// Rooms over TLS: the bytes inside are the same, members are on shards by their address, and who does not read is
// dropped all the same.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import { MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { RoomsMember } from '../harness/rooms-member.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { within } from '../harness/wait.ts'

const FOLDER = join(import.meta.dirname, '../harness/certificate')
const FILES = { cert: join(FOLDER, 'cert.pem'), key: join(FOLDER, 'key.pem') }
const RECIPIENT_MS = 2_000
const MEMBERS = 4

let rooms: RoomsServer
before(async () => {
  rooms = await RoomsServer.start({
    shards: 2,
    settings: {
      'services.rooms.tcp.tls.cert': FILES.cert,
      'services.rooms.tcp.tls.key': FILES.key,
      'services.rooms.recipientTimeout': `${RECIPIENT_MS}ms`,
    },
  })
})
after(async () => {
  await rooms[Symbol.asyncDispose]()
  assert.deepEqual(rooms.server.stray, [])
})

async function enter(name: string): Promise<RoomsMember> {
  const socket = connect({ port: rooms.port, host: 'localhost', ca: readFileSync(FILES.cert) })
  await within('the handshake', once(socket, 'secureConnect'))
  const member = new RoomsMember(socket)
  await member.login(name)
  return member
}

test('tls: members of all shards talk, send a file, and one that reads nothing is dropped', async () => {
  const members: RoomsMember[] = []
  for (let index = 0; index < MEMBERS; index++) members.push(await enter(`m${index}`))
  const [first, ...others] = members
  const deaf = members.at(-1)
  first?.say('secret')
  for (const member of members) assert.equal((await member.text()).text, 'secret')
  deaf?.socket.pause()
  const content = randomBytes(14 * 1024 * 1024)
  const sha256 = createHash('sha256').update(content).digest('hex')
  first?.send(MESSAGE_TYPE.file, 'a.bin', content)
  for (const member of others.slice(0, -1))
    assert.equal((await member.nextOf(MESSAGE_TYPE.file, 20_000)).sha256, sha256)
  assert.equal((await others[0]?.nextOf(MESSAGE_TYPE.logout, 20_000))?.from, `m${MEMBERS - 1}`)
  const metrics = await rooms.server.metrics()
  assert.equal(metrics.sum('polyloop_rooms_dropped_recipients_total', { reason: 'stall' }), 1)
  for (const member of members) member.close()
})
