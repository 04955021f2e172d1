// A disk that cannot be written to: large contents are refused with the documented answer, and the room goes on.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { RoomsServer } from '../harness/rooms-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'polyloop-disk-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('disk: what it does not take is refused, and when it does again nothing has to be restarted', async () => {
  // In the place of the directory is a file: also root cannot make a directory of it.
  const place = join(folder, 'spool')
  writeFileSync(place, '')
  await using rooms = await RoomsServer.start({ shards: 2, settings: { 'services.rooms.spoolDirectory': place } })
  using alice = await rooms.join('alice')
  using bob = await rooms.join('bob')
  const content = Buffer.alloc(1024 * 1024, 'x')
  for (let count = 0; count < 3; count++) {
    alice.send(MESSAGE_TYPE.file, 'a.bin', content)
    const { from, text } = await alice.text()
    assert.deepEqual([from, text], ['server', 'Server storage is full'])
  }
  alice.say('small ones work')
  assert.equal((await bob.text()).text, 'small ones work')
  assert.equal(rooms.server.logged('rooms.spool_failed').length > 0, true)
  assert.equal((await rooms.server.metrics()).sum('polyloop_rooms_spool_bytes'), 0)
  rmSync(place)
  alice.send(MESSAGE_TYPE.file, 'b.bin', content)
  assert.equal((await bob.nextOf(MESSAGE_TYPE.file)).bytes, content.length)
  assert.deepEqual(rooms.server.logged('services.handler_failed'), [])
  assert.deepEqual(rooms.server.logged('actor.failed'), [])
})
