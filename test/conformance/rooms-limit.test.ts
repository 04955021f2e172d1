// What rooms do with clients that stop in the middle of a frame, with members that do not read, and with a full spool.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { encodeDescriptor, encodeFrame, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { pause, waitUntil } from '../harness/wait.ts'

const MIB = 1024 * 1024
const STALL_MS = 700
const RECIPIENT_MS = 1_500

let rooms: RoomsServer
before(async () => {
  rooms = await RoomsServer.start({
    shards: 2,
    settings: {
      'services.rooms.stallTimeout': `${STALL_MS}ms`,
      'services.rooms.recipientTimeout': `${RECIPIENT_MS}ms`,
      'services.rooms.maxSpoolBytes': '48MiB',
      'services.rooms.maxContentBytes': '40MiB',
    },
  })
})
after(() => rooms[Symbol.asyncDispose]())

async function counted(family: string, labels: Readonly<Record<string, string>>): Promise<number> {
  return (await rooms.server.metrics()).sum(`polyloop_rooms_${family}`, labels)
}

test('stall: a frame that does not go on ends its connection, one that goes on slowly does not', async () => {
  using slow = await rooms.join('slow')
  using stuck = await rooms.join('stuck')
  using idle = await rooms.join('idle')
  const frame = encodeFrame(MESSAGE_TYPE.utf8, '', 'slowly')
  const beganMs = performance.now()
  stuck.write(encodeDescriptor(MESSAGE_TYPE.utf8, 0, 10))
  const ended = stuck.end().then(() => performance.now() - beganMs)
  for (let at = 0; at < frame.length; at += 6) {
    slow.write(frame.subarray(at, at + 6))
    await pause(STALL_MS / 2)
  }
  assert.equal((await slow.text()).text, 'slowly')
  const tookMs = await ended
  assert.ok(tookMs >= STALL_MS - 20 && tookMs < STALL_MS + 750, `${tookMs} ms`)
  assert.ok(!idle.hasEnded, 'between frames there is no hurry')
  assert.equal(await counted('rejected_total', { reason: 'stall' }), 1)
})

test('recipient: one that reads nothing is dropped in time, and others do not notice', async () => {
  using deaf = await rooms.join('deaf')
  using alice = await rooms.join('alice')
  using bob = await rooms.join('bob')
  deaf.socket.pause()
  const content = randomBytes(32 * MIB)
  const beganMs = performance.now()
  alice.send(MESSAGE_TYPE.file, 'big.bin', content)
  const got = await bob.nextOf(MESSAGE_TYPE.file)
  assert.equal(got.sha256, createHash('sha256').update(content).digest('hex'))
  const left = await bob.nextOf(MESSAGE_TYPE.logout)
  const tookMs = performance.now() - beganMs
  assert.equal(left.from, 'deaf')
  assert.ok(tookMs >= RECIPIENT_MS && tookMs < RECIPIENT_MS + 5_000, `${tookMs} ms`)
  assert.equal(await counted('dropped_recipients_total', { reason: 'stall' }), 1)
  await waitUntil('nobody needs the file any more', () => rooms.files().length === 0)
  using again = await rooms.join('deaf')
  assert.ok(!again.hasEnded)
})

test('recipient: one for whom too much waits is dropped', async () => {
  using deaf = await rooms.join('deaf2')
  using alice = await rooms.join('alice2')
  using bob = await rooms.join('bob2')
  deaf.socket.pause()
  const text = 'x'.repeat(200 * 1024)
  let sent = 0
  for (; !bob.frames.some(({ type, from }) => type === MESSAGE_TYPE.logout && from === 'deaf2'); sent++) {
    assert.ok(sent < 400, 'it is dropped before 80 MB')
    alice.say(text)
    await waitUntil(
      'the sender gets it',
      () => alice.frames.filter(({ type }) => type === MESSAGE_TYPE.utf8).length > sent,
    )
  }
  assert.equal(await counted('dropped_recipients_total', { reason: 'queue' }), 1)
  await waitUntil(
    'everything is there',
    () => bob.frames.filter(({ type }) => type === MESSAGE_TYPE.utf8).length === sent,
  )
})

test('spool: what does not fit is answered, and read to its end', async () => {
  using reader = await rooms.join('reader')
  using alice = await rooms.join('alice3')
  using bob = await rooms.join('bob3')
  // It reads, but not fast enough to be done before this is over.
  reader.socket.pause()
  const sips = setInterval(() => {
    reader.socket.once('data', () => reader.socket.pause())
    reader.socket.resume()
  }, RECIPIENT_MS / 20)
  const content = randomBytes(30 * MIB)
  alice.send(MESSAGE_TYPE.file, 'first.bin', content)
  await bob.nextOf(MESSAGE_TYPE.file)
  const bytes = await counted('spool_bytes', {})
  assert.ok(bytes >= 30 * MIB && bytes <= 34 * MIB, `${bytes} bytes`)
  alice.send(MESSAGE_TYPE.file, 'second.bin', content)
  alice.say('next')
  const [file, refused, next] = [await alice.nextOf(MESSAGE_TYPE.file), await alice.text(), await alice.text()]
  assert.deepEqual([file.filename, refused.from, next.text], ['first.bin', 'server', 'next'])
  assert.equal(refused.text, 'Server storage is full')
  assert.equal(await counted('rejected_total', { reason: 'spool_full' }), 1)
  clearInterval(sips)
  setTimeout(() => reader.socket.resume(), 0)
  const whole = await reader.nextOf(MESSAGE_TYPE.file)
  assert.equal(whole.sha256, createHash('sha256').update(content).digest('hex'))
  await waitUntil('the spool is empty', async () => (await counted('spool_bytes', {})) === 0)
  alice.send(MESSAGE_TYPE.file, 'third.bin', content)
  assert.equal((await bob.nextOf(MESSAGE_TYPE.file)).filename, 'third.bin')
})

test('spool: the directory is for this user alone, and leaves nothing behind', async () => {
  using alice = await rooms.join('alice4')
  alice.announce(MESSAGE_TYPE.file, 1, 10 * MIB)
  alice.write(Buffer.concat([Buffer.from('x'), randomBytes(MIB)]))
  const [file = ''] = await waitUntil('a file', () => (rooms.files().length === 1 ? rooms.files() : undefined))
  assert.equal(rooms.modeOf(file), 0o600)
  assert.equal(rooms.modeOf(`${file}/..`.replace(/\/[^/]+\/\.\.$/, '')), 0o700)
  alice.close()
  await waitUntil('it is gone', () => rooms.files().length === 0)
  assert.deepEqual(rooms.server.logged('services.handler_failed'), [])
  assert.equal((await rooms.server.stop()).status, 0)
  assert.deepEqual(rooms.server.stray, [])
})
