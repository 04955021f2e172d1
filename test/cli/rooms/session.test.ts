// The client against a server that a test scripts; the real server is in test/e2e/rooms-client.test.ts.
import assert from 'node:assert/strict'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeDescriptor, encodeFrame, MESSAGE_TYPE } from '../../../src/services/rooms/descriptor.ts'
import { waitUntil } from '../../harness/wait.ts'
import { runCommand } from '../capture.ts'
import { Client } from './client.ts'
import { Folder } from './folder.ts'
import { type Guest, ScriptedRoom } from './scripted-room.ts'

const TIME = '<\\d\\d:\\d\\d:\\d\\d>'

interface Scene extends AsyncDisposable {
  readonly client: Client
  readonly guest: Guest
  readonly folder: string
}

/** A client `ada` who is in the room. */
async function scene(options: { readonly maxContent?: string } = {}): Promise<Scene> {
  const folder = new Folder()
  const room = await ScriptedRoom.open()
  const client = new Client({ username: 'ada', address: room.address, saveDirectory: folder.path, ...options })
  const guest = await room.guest()
  await guest.welcome()
  return {
    client,
    guest,
    folder: folder.path,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await room[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

test('rooms-client: logs in with a bare name, and leaves with a Logout', async () => {
  await using room = await ScriptedRoom.open()
  using folder = new Folder()
  await using client = new Client({ username: 'ada', address: room.address, saveDirectory: folder.path })
  const guest = await room.guest()
  assert.deepEqual(await guest.welcome(), { type: MESSAGE_TYPE.login, header: 'ada', content: Buffer.alloc(0) })
  client.stdin.end()
  assert.equal((await guest.next()).type, MESSAGE_TYPE.logout)
  assert.equal(await client.status, 0)
  assert.equal(client.err, '')
})

test('rooms-client: a refused login says why, and ends with 1', async () => {
  const refusals = [
    [MESSAGE_TYPE.usernameExists, /^rooms-client: the name ada is in use\n$/],
    [MESSAGE_TYPE.badUsername, /the name ada is not allowed/],
    [MESSAGE_TYPE.badLogin, /refused the login/],
    [77, /not one of a rooms server/],
  ] as const
  for (const [type, text] of refusals) {
    await using room = await ScriptedRoom.open()
    await using client = new Client({ username: 'ada', address: room.address })
    const guest = await room.guest()
    await guest.welcome(type)
    assert.equal(await client.status, 1)
    assert.match(client.err, text)
  }
})

test('rooms-client: without a server, or with one that hangs up, the status is 1', async () => {
  const room = await ScriptedRoom.open()
  const { address } = room
  await using client = new Client({ username: 'ada', address })
  const guest = await room.guest()
  guest.socket.destroy()
  assert.equal(await client.status, 1)
  assert.match(client.err, /^rooms-client: (the server closed|connection lost)/)
  await room[Symbol.asyncDispose]()
  await using late = new Client({ username: 'ada', address })
  assert.equal(await late.status, 1)
  assert.match(late.err, /cannot connect to 127\.0\.0\.1:\d+: .*ECONNREFUSED/)
})

test('rooms-client: options that make no sense', async () => {
  const lines = [
    { username: 'ada', address: 'nowhere' },
    { username: 'ada', address: 'a:0' },
    { username: 'ada', address: 'a:65536' },
    { username: 'ada', maxContent: '0' },
    { username: 'a'.repeat(4_097) },
  ]
  for (const options of lines) {
    await using client = new Client(options)
    assert.equal(await client.status, 2, JSON.stringify(options))
    assert.match(client.err, /^rooms-client: --/)
  }
})

test('rooms-client: a line without a name', async () => {
  const { status, stderr } = await runCommand(['rooms_client', '--address', 'h:1'])
  assert.equal(status, 2)
  assert.match(stderr, /--username.*\n[\s\S]*Usage: polyloop rooms-client/)
})

test('rooms-client: prints joins, messages and leaves', async () => {
  await using stage = await scene()
  const { client, guest } = stage
  guest.tell(MESSAGE_TYPE.login, { from: 'bob' })
  guest.tell(MESSAGE_TYPE.utf8, { from: 'bob' }, 'hi')
  guest.tell(MESSAGE_TYPE.utf8, { from: 'bob', to: 'ada' }, 'psst')
  guest.tell(MESSAGE_TYPE.logout, { from: 'bob' })
  await client.says(/left/)
  const lines = client.out.trimEnd().split('\n')
  const expected = ['bob joined', '\\[bob\\]: hi', '\\(to ada\\) \\[bob\\]: psst', 'bob left']
  assert.equal(lines.length, expected.length)
  for (const [index, text] of expected.entries()) assert.match(lines[index] ?? '', new RegExp(`^${TIME} ${text}$`))
})

test('rooms-client: says each line of stdin, and waits for what comes back', async () => {
  await using stage = await scene()
  const { client, guest } = stage
  client.stdin.end('one\r\n\n/msg bob two words\n/nonsense\nlast')
  assert.deepEqual(await guest.next(), { type: MESSAGE_TYPE.utf8, header: '', content: Buffer.from('one') })
  assert.deepEqual(await guest.next(), {
    type: MESSAGE_TYPE.utf8,
    header: '{"to":"bob"}',
    content: Buffer.from('two words'),
  })
  assert.equal((await guest.next()).content.toString(), 'last')
  assert.match(client.err, /there is no \/nonsense/)
  guest.tell(MESSAGE_TYPE.utf8, { from: 'ada' }, 'one')
  guest.tell(MESSAGE_TYPE.utf8, { from: 'server' }, 'User bob is not in the room')
  assert.equal(guest.heard.length, 0)
  guest.tell(MESSAGE_TYPE.utf8, { from: 'ada' }, 'last')
  assert.equal((await guest.next()).type, MESSAGE_TYPE.logout)
  assert.equal(await client.status, 0)
  assert.match(client.out, /\[server\]: User bob is not in the room\n.*\[ada\]: last\n$/)
})

test('rooms-client: a file goes out byte for byte, behind it the next line', async () => {
  await using stage = await scene()
  const { client, guest, folder } = stage
  const bytes = Buffer.alloc(3_000_001, 'polyloop')
  writeFileSync(join(folder, 'a "b".bin'), bytes)
  client.stdin.write(
    `/file ${join(folder, 'a "b".bin')}\nafter\n/image ${join(folder, 'none.png')}\n/voice ${folder}\n`,
  )
  const file = await guest.next()
  assert.equal(file.type, MESSAGE_TYPE.file)
  assert.deepEqual(JSON.parse(file.header), { filename: 'a "b".bin' })
  assert.ok(file.content.equals(bytes))
  assert.equal((await guest.next()).content.toString(), 'after')
  await client.complains(/none\.png is not sent: ENOENT/)
  await client.complains(/is not sent: it is not a file/)
  writeFileSync(join(folder, 'empty.png'), '')
  client.stdin.write(`/image ${join(folder, 'empty.png')}\n`)
  assert.deepEqual(await guest.next(), {
    type: MESSAGE_TYPE.image,
    header: '{"filename":"empty.png"}',
    content: Buffer.alloc(0),
  })
})

test('rooms-client: a file that is too large is not begun, one that gets shorter ends the connection', async () => {
  await using stage = await scene({ maxContent: '64MiB' })
  const { client, guest, folder } = stage
  const path = join(folder, 'large.bin')
  writeFileSync(path, '')
  truncateSync(path, 64 * 1024 * 1024 + 1)
  client.stdin.write(`/file ${path}\n`)
  await client.complains(/large\.bin is not sent: it has 64\.0 MiB, and 64\.0 MiB is the limit/)
  truncateSync(path, 64 * 1024 * 1024)
  guest.socket.pause()
  client.stdin.write(`/file ${path}\n`)
  await waitUntil('the file is under way', () => guest.socket.readableLength > 0 || guest.socket.bytesRead > 100)
  truncateSync(path, 100)
  guest.socket.resume()
  assert.equal(await client.status, 1)
  assert.match(client.err, /could not be read to its end: it became shorter meanwhile\n$/)
})

test('rooms-client: files arrive under safe names, and never replace another', async () => {
  await using stage = await scene()
  const { client, guest, folder } = stage
  writeFileSync(join(folder, 'a.txt'), 'old')
  writeFileSync(join(folder, 'victim'), 'untouched')
  symlinkSync(join(folder, 'victim'), join(folder, 'link.txt'))
  symlinkSync('/nonexistent/polyloop', join(folder, 'dangling.txt'))
  const sent = [
    'a.txt',
    'a.txt',
    '../../evil.txt',
    '..',
    '/etc/passwd',
    'c:\\x\\b.txt',
    'link.txt',
    'dangling.txt',
    '.bashrc',
    'x\u001b[2Jy',
  ]
  for (const [index, filename] of sent.entries())
    guest.tell(MESSAGE_TYPE.file, { from: 'bob', filename }, `new ${index}`)
  guest.tell(MESSAGE_TYPE.voice, { from: 'bob' }, 'unnamed')
  await client.says(/\[bob\] voice: /)
  assert.deepEqual(readdirSync(folder).sort(), [
    '_bashrc',
    'a (1).txt',
    'a (2).txt',
    'a.txt',
    'b.txt',
    'dangling (1).txt',
    'dangling.txt',
    'evil.txt',
    'file',
    'link (1).txt',
    'link.txt',
    'passwd',
    'victim',
    'voice',
    'x_[2Jy',
  ])
  assert.equal(readFileSync(join(folder, 'a.txt'), 'utf8'), 'old')
  assert.equal(readFileSync(join(folder, 'a (2).txt'), 'utf8'), 'new 1')
  assert.equal(readFileSync(join(folder, 'link (1).txt'), 'utf8'), 'new 6')
  assert.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'untouched')
  assert.ok(lstatSync(join(folder, 'dangling.txt')).isSymbolicLink())
  assert.equal(client.out.includes('\u001b'), false)
  assert.match(client.out, /\[bob\] file: x\\u001b\[2Jy\n/)
})

test('rooms-client: a file that does not arrive whole is taken away', async () => {
  await using stage = await scene()
  const { client, guest, folder } = stage
  const header = Buffer.from(JSON.stringify({ from: 'bob', filename: 'half.bin' }))
  guest.socket.write(encodeDescriptor(MESSAGE_TYPE.file, header.length, 1_000_000))
  guest.socket.write(header)
  guest.socket.write(Buffer.alloc(500_000))
  await waitUntil('half of it is there', () => {
    const name = readdirSync(folder)[0]
    return name !== undefined && lstatSync(join(folder, name)).size === 500_000
  })
  guest.socket.end()
  assert.equal(await client.status, 1)
  assert.deepEqual(readdirSync(folder), [])
  assert.match(client.err, /half\.bin is not saved: the connection ended\n.*the server closed the connection/)
})

test('rooms-client: Ctrl-C while a file arrives leaves with 0, and nothing behind', async () => {
  await using stage = await scene()
  const { client, guest, folder } = stage
  const header = Buffer.from(JSON.stringify({ from: 'bob', filename: 'half.bin' }))
  guest.socket.write(
    Buffer.concat([encodeDescriptor(MESSAGE_TYPE.file, header.length, 1_000), header, Buffer.alloc(9)]),
  )
  await waitUntil('it is begun', () => readdirSync(folder).length === 1)
  client.interrupt()
  assert.equal((await guest.next()).type, MESSAGE_TYPE.logout)
  guest.socket.end()
  assert.equal(await client.status, 0)
  assert.deepEqual(readdirSync(folder), [])
})

test('rooms-client: a file that cannot be saved, or is too large, does no harm to what follows', async () => {
  await using stage = await scene({ maxContent: '1000' })
  const { client, guest, folder } = stage
  guest.tell(MESSAGE_TYPE.file, { from: 'bob', filename: 'large.bin' }, Buffer.alloc(1_001))
  guest.tell(MESSAGE_TYPE.file, { from: 'bob', filename: 'fits.bin' }, Buffer.alloc(1_000))
  await client.says(/\[bob\] file: fits\.bin/)
  assert.deepEqual(readdirSync(folder), ['fits.bin'])
  assert.match(client.err, /large\.bin of 1001 B is too large/)
  rmSync(folder, { recursive: true })
  guest.tell(MESSAGE_TYPE.file, { from: 'bob', filename: 'nowhere.bin' }, 'x')
  guest.tell(MESSAGE_TYPE.utf8, { from: 'bob' }, 'still there')
  await client.says(/still there/)
  assert.match(client.err, /nowhere\.bin is not saved: ENOENT/)
  mkdirSync(folder)
})

test('rooms-client: nothing that others say steers the terminal, or looks like a line of somebody else', async () => {
  await using stage = await scene()
  const { client, guest } = stage
  guest.tell(MESSAGE_TYPE.utf8, { from: 'b\u001b]0;x' }, 'a\u001b[31mb\u009bc\u202ed\rE\n<12:00:00> [ada]: forged\n\n')
  guest.tell(MESSAGE_TYPE.utf8, { from: 'bob' }, Buffer.from([0x61, 0xff, 0x62]))
  guest.tell(MESSAGE_TYPE.utf8, { from: 'bob' }, 'x'.repeat(70_000))
  await client.says(/more\)/)
  const [first = '', second = '', third = '', fourth = ''] = client.out.split('\n')
  assert.match(first, /\[b\\u001b\]0;x\]: a\\u001b\[31mb\\u009bc\\u202ed\\u000dE$/)
  assert.equal(second, '    <12:00:00> [ada]: forged')
  assert.match(third, /: a\ufffdb$/)
  assert.match(fourth, /: x{65536} … \(4\.4 KiB more\)$/)
})

test('rooms-client: what is no message of a rooms server is told, and skipped', async () => {
  await using stage = await scene()
  const { client, guest } = stage
  guest.socket.write(encodeFrame(MESSAGE_TYPE.utf8, 'no json', 'x'))
  guest.socket.write(encodeFrame(MESSAGE_TYPE.file, '{"from":7}', 'x'))
  guest.tell(77, { from: 'bob' }, 'x')
  guest.tell(MESSAGE_TYPE.utf8, { from: 'bob', timestamp: 'yesterday' }, 'fine')
  await client.says(new RegExp(`${TIME} \\[bob\\]: fine`))
  assert.equal(client.err.match(/says not who it is from/g)?.length, 2)
  assert.match(client.err, /unknown type 77/)
})
