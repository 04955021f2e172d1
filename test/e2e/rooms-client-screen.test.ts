// The client of rooms on a terminal, against a server that the test scripts.
import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeDescriptor, encodeFrame, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { Folder } from '../cli/rooms/folder.ts'
import { type Guest, ScriptedRoom } from '../cli/rooms/scripted-room.ts'
import { waitUntil } from '../harness/wait.ts'
import { Pane } from './pane.ts'

const SIZE = { columns: 60, rows: 12 }

interface Scene extends AsyncDisposable {
  readonly address: string
  readonly pane: Pane
  readonly guest: Guest
  readonly folder: string
}

/** `ada` in the room, on a terminal. */
async function scene(): Promise<Scene> {
  const folder = new Folder()
  const room = await ScriptedRoom.open()
  const pane = new Pane(SIZE, 'rooms-client', '-u', 'ada', '-a', room.address, '-s', folder.path)
  const guest = await room.guest()
  await guest.welcome()
  await pane.shows(/Esc quits/)
  return {
    address: room.address,
    pane,
    guest,
    folder: folder.path,
    async [Symbol.asyncDispose]() {
      pane[Symbol.dispose]()
      await room[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

test('rooms-client: on a terminal, title, coloured lines and input; Esc leaves and gives the screen back', async () => {
  await using stage = await scene()
  const { pane, guest, address } = stage
  guest.tell(MESSAGE_TYPE.login, { from: 'bob' })
  guest.tell(MESSAGE_TYPE.utf8, { from: 'bob' }, '\u001b[2J\u001b]0;x\u0007世界 👍 %s ^rhi')
  guest.tell(MESSAGE_TYPE.utf8, { from: 'ada' }, 'mine')
  pane.keys('typed', 'Left', 'X')
  const rows = await pane.shows(/> typeXd$/m)
  assert.equal(rows[0], `${address} as ada`)
  assert.equal(rows.length, SIZE.rows)
  assert.equal(rows.at(-1), '> typeXd')
  assert.match(rows.join('\n'), /^<\d\d:\d\d:\d\d> bob joined$/m)
  assert.match(rows.join('\n'), /^<\d\d:\d\d:\d\d> \[bob\]: \\u001b\[2J\\u001b\]0;x\\u0007世界 👍 %s \^rhi$/m)
  const colours = pane.colours()
  assert.match(colours, /\u001b\[31mbob joined/)
  assert.match(colours, /\u001b\[34m\[bob\]/)
  assert.match(colours, /\u001b\[33m\[ada\]/)
  pane.keys('Enter')
  assert.equal((await guest.next()).content.toString(), 'typeXd')
  pane.keys('Escape')
  assert.equal((await guest.next()).type, MESSAGE_TYPE.logout)
  guest.socket.end()
  assert.deepEqual(
    (await pane.shows(/status/)).filter((row) => row !== ''),
    ['status 0'],
  )
})

test('rooms-client: Up and Down scroll, and a changed size is drawn again', async () => {
  await using stage = await scene()
  const { pane, guest } = stage
  for (let number = 1; number <= 40; number++) guest.tell(MESSAGE_TYPE.utf8, { from: 'bob' }, `line ${number}`)
  await pane.shows(/line 31\n(.*\n)*.*line 40\n/)
  pane.keys('Up', 'Up')
  await pane.shows(/2 more below\)\n.*line 29\n(.*\n)*.*line 38\n/)
  guest.tell(MESSAGE_TYPE.utf8, { from: 'bob' }, 'line 41')
  await pane.shows(/3 more below\)\n.*line 29\n/)
  pane.keys('Down')
  await pane.shows(/2 more below\)\n.*line 30\n/)
  pane.keys('PPage')
  await pane.shows(/11 more below\)\n.*line 21\n/)
  pane.resize({ columns: 30, rows: 6 })
  const rows = await pane.shows(/line 38\n.*line 39\n.*line 40\n.*line 41\n> *$/)
  assert.equal(rows.length, 6)
})

test('rooms-client: a pasted text arrives whole, however the terminal cuts its characters', async () => {
  await using stage = await scene()
  const { pane, guest } = stage
  const text = 'xé世👍'.repeat(1_500)
  pane.paste(`${text}\r`)
  assert.equal((await guest.next()).content.toString(), text)
  pane.keys('still here', 'Enter')
  assert.equal((await guest.next()).content.toString(), 'still here')
})

test('rooms-client: bars show what is on its way, in and out', async () => {
  await using stage = await scene()
  const { pane, guest, folder } = stage
  const header = Buffer.from(JSON.stringify({ from: 'bob', filename: 'in.bin' }))
  const bytes = Buffer.alloc(1_048_576, 'polyloop')
  guest.socket.write(Buffer.concat([encodeDescriptor(MESSAGE_TYPE.file, header.length, bytes.length), header]))
  guest.socket.write(bytes.subarray(0, 524_288))
  const half = await pane.shows(/↓ in\.bin from bob █{12}░{12} 50 % of/)
  assert.match(half.at(-2) ?? '', /^↓ in\.bin/)
  guest.socket.write(bytes.subarray(524_288))
  const rows = await pane.shows(/\[bob\] file: in\.bin\n.*saved /)
  assert.doesNotMatch(rows.join('\n'), /↓/)
  // More than the buffers of a loopback connection take.
  const path = join(folder, 'out.bin')
  writeFileSync(path, Buffer.alloc(40 * 1_048_576))
  guest.socket.pause()
  pane.keys(`/file ${path}`, 'Enter')
  await pane.shows(/↑ out\.bin [█░]{24} \d+ % of 40\.0 MiB/)
  pane.keys('C-c')
  await pane.shows(/^status 0$/m)
  assert.deepEqual(readdirSync(folder).sort(), ['in.bin', 'out.bin'])
})

test('rooms-client: a terminal that is closed leaves no half of a file behind', async () => {
  await using stage = await scene()
  const { pane, guest, folder } = stage
  const header = Buffer.from(JSON.stringify({ from: 'bob', filename: 'half.bin' }))
  guest.socket.write(
    Buffer.concat([encodeDescriptor(MESSAGE_TYPE.file, header.length, 1_000), header, Buffer.alloc(500)]),
  )
  await pane.shows(/↓ half\.bin from bob/)
  assert.deepEqual(readdirSync(folder), ['half.bin'])
  pane[Symbol.dispose]()
  await waitUntil('the client is gone', () => guest.isGone)
  // The connection ends first, and then the file.
  await waitUntil('the half of the file is gone', () => readdirSync(folder).length === 0)
})

test('rooms-client: why it ended is told on the screen that was there before', async () => {
  await using stage = await scene()
  stage.guest.socket.end(encodeFrame(MESSAGE_TYPE.utf8, '{"from":"server"}', 'bye'))
  const rows = (await stage.pane.shows(/status/)).filter((row) => row !== '')
  assert.deepEqual(rows, ['rooms-client: the server closed the connection', 'status 1'])
  using folder = new Folder()
  await using room = await ScriptedRoom.open()
  using refused = new Pane(SIZE, 'rooms-client', '-u', 'ada', '-a', room.address, '-s', folder.path)
  await (await room.guest()).welcome(MESSAGE_TYPE.usernameExists)
  const told = (await refused.shows(/status/)).filter((row) => row !== '')
  assert.deepEqual(told, ['rooms-client: the name ada is in use', 'status 1'])
})
