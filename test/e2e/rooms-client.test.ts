// The client and the load test of rooms against the real server.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Folder } from '../cli/rooms/folder.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { load, type Outcome, SHORT } from './load-server.ts'
import { Pane } from './pane.ts'

const bin = join(import.meta.dirname, '../../bin/polyloop.js')
const END_MS_MAX = 20_000

/** The client as a process without a terminal. */
class Member implements AsyncDisposable {
  out = ''
  err = ''
  readonly #child: ChildProcess
  readonly #closed: Promise<[number | null]>

  constructor(...line: readonly string[]) {
    this.#child = spawn(process.execPath, [bin, ...line], { env: { PATH: process.env.PATH } })
    this.#closed = once(this.#child, 'close') as Promise<[number | null]>
    this.#child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      this.out += part
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      this.err += part
    })
  }

  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  hears(pattern: RegExp): Promise<RegExpExecArray> {
    return waitUntil(`${pattern} in: ${this.out}${this.err}`, () => pattern.exec(this.out) ?? undefined, END_MS_MAX)
  }

  leave(): Promise<number | null> {
    this.#child.stdin?.end()
    return this.ended()
  }

  interrupt(): Promise<number | null> {
    this.#child.kill('SIGINT')
    return this.ended()
  }

  async ended(): Promise<number | null> {
    const [status] = await within('the end of the client', this.#closed, END_MS_MAX)
    return status
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}

let server: Server
let address: string
const folder = new Folder()

before(async () => {
  server = await startServer({ shards: 2, services: ['rooms'] })
  address = `127.0.0.1:${server.port('rooms.tcp')}`
  for (const name of ['ada', 'bob', 'files']) mkdirSync(join(folder.path, name))
})

after(async () => {
  await server[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

const at = (...names: readonly string[]): string => join(folder.path, ...names)

test('rooms-client: two members talk, privately too, and files arrive as they were', async () => {
  await using ada = new Member('rooms-client', '-u', 'ada', '-a', address, '-s', at('ada'))
  await ada.hears(/^<\d\d:\d\d:\d\d> ada joined$/m)
  await using bob = new Member(
    'rooms_client',
    '--username=bob',
    `--address==${address}`,
    `--save_directory==${at('bob')}`,
  )
  // In the folder of the originals.
  await using carol = new Member('rooms-client', '-u', 'carol', '-a', address, '-s', at('files'))
  await ada.hears(/bob joined$/m)
  await bob.hears(/bob joined$/m)
  await carol.hears(/carol joined$/m)
  ada.say('Hello, bob! Grüße 世界')
  await bob.hears(/^<\d\d:\d\d:\d\d> \[ada\]: Hello, bob! Grüße 世界$/m)
  bob.say('/msg ada psst')
  await ada.hears(/^<\d\d:\d\d:\d\d> \(to ada\) \[bob\]: psst$/m)
  bob.say('/msg dave psst')
  await bob.hears(/\[server\]: User dave is not in the room$/m)
  const large = randomBytes(4 * 1024 * 1024)
  writeFileSync(at('files', 'large.bin'), large)
  writeFileSync(at('files', 'small.png'), 'tiny')
  ada.say(`/file ${at('files', 'large.bin')}`)
  bob.say(`/image ${at('files', 'small.png')}`)
  await bob.hears(/^<\d\d:\d\d:\d\d> \[ada\] file: large\.bin$/m)
  await ada.hears(/^<\d\d:\d\d:\d\d> \[bob\] image: small\.png$/m)
  await ada.hears(/\[ada\] file: large\.bin$/m)
  assert.ok(readFileSync(at('bob', 'large.bin')).equals(large))
  assert.ok(readFileSync(at('ada', 'large.bin')).equals(large))
  assert.equal(readFileSync(at('ada', 'small.png'), 'utf8'), 'tiny')
  // Saved where the original is: beside it.
  await carol.hears(/\[bob\] image: small\.png$/m)
  await carol.hears(/\[ada\] file: large\.bin$/m)
  assert.deepEqual(readdirSync(at('files')).sort(), ['large (1).bin', 'large.bin', 'small (1).png', 'small.png'])
  assert.doesNotMatch(carol.out, /psst/)
  assert.equal(await bob.leave(), 0)
  await ada.hears(/^<\d\d:\d\d:\d\d> bob left$/m)
  assert.equal(await ada.interrupt(), 0)
  await carol.hears(/ada left$/m)
  assert.equal(await carol.leave(), 0)
})

test('rooms-client: what stdin says is said, and printed, before it leaves', async () => {
  await using first = new Member('rooms-client', '-u', 'first', '-a', address, '-s', at('ada'))
  for (let number = 1; number <= 500; number++) first.say(`line ${number}`)
  assert.equal(await first.leave(), 0)
  assert.equal(first.err, '')
  const said = [...first.out.matchAll(/\[first\]: line (\d+)$/gm)].map(([, number]) => Number(number))
  assert.deepEqual(
    said,
    Array.from({ length: 500 }, (_, index) => index + 1),
  )
})

test('rooms-client: a name that is taken', async () => {
  await using held = new Member('rooms-client', '-u', 'held', '-a', address, '-s', at('ada'))
  await held.hears(/held joined/)
  await using refused = new Member('rooms-client', '-u', 'held', '-a', address, '-s', at('ada'))
  assert.equal(await refused.ended(), 1)
  assert.equal(refused.err, 'rooms-client: the name held is in use\n')
  assert.equal(await held.interrupt(), 0)
})

test('rooms-client: a file over the limit of the server ends the stay, and the server says why', async () => {
  await using member = new Member(
    'rooms-client',
    '-u',
    'heavy',
    '-a',
    address,
    '-s',
    at('ada'),
    '--max-content',
    '1GiB',
  )
  await member.hears(/heavy joined/)
  writeFileSync(at('files', 'heavy.bin'), '')
  truncateSync(at('files', 'heavy.bin'), 64 * 1024 * 1024 + 1)
  member.say(`/file ${at('files', 'heavy.bin')}`)
  assert.equal(await member.ended(), 1)
  assert.match(member.out, /\[server\]: Content is larger than 67108864 bytes\n/)
  assert.match(member.err, /^rooms-client: (the server closed the connection|connection lost)/)
})

test('rooms-client: stays in the room while the server reloads', async () => {
  await using ada = new Member('rooms-client', '-u', 'ada', '-a', address, '-s', at('ada'))
  await ada.hears(/ada joined/)
  await using bob = new Member('rooms-client', '-u', 'bob', '-a', address, '-s', at('bob'))
  await bob.hears(/bob joined/)
  const reload = await server.post('/api/v1/reload')
  assert.equal(reload.status, 202, await reload.text())
  const file = randomBytes(3 * 1024 * 1024)
  writeFileSync(at('files', 'moved.bin'), file)
  for (let number = 1; number <= 20; number++) ada.say(`during ${number}`)
  ada.say(`/file ${at('files', 'moved.bin')}`)
  await bob.hears(/\[ada\]: during 20$/m)
  await bob.hears(/\[ada\] file: moved\.bin$/m)
  assert.ok(readFileSync(at('bob', 'moved.bin')).equals(file))
  assert.equal([...bob.out.matchAll(/\[ada\]: during \d+$/gm)].length, 20)
  assert.equal(await bob.leave(), 0)
  assert.equal(await ada.leave(), 0)
})

test('rooms-client: two terminals talk, and send a file each way', async () => {
  const [left, right] = ['left', 'right'].map((name) => randomBytes(name === 'left' ? 1_000_000 : 5))
  assert.ok(left !== undefined && right !== undefined)
  writeFileSync(at('files', 'left.bin'), left)
  writeFileSync(at('files', 'right.bin'), right)
  const size = { columns: 70, rows: 16 }
  using ada = new Pane(size, 'rooms-client', '-u', 'ada', '-a', address, '-s', at('ada'))
  using bob = new Pane(size, 'rooms-client', '-u', 'bob', '-a', address, '-s', at('bob'))
  await ada.shows(/ada joined/)
  await bob.shows(/bob joined/)
  ada.keys('Hi bob', 'Enter')
  await bob.shows(/^<\d\d:\d\d:\d\d> \[ada\]: Hi bob$/m)
  ada.keys(`/file ${at('files', 'left.bin')}`, 'Enter')
  bob.keys(`/voice ${at('files', 'right.bin')}`, 'Enter')
  await bob.shows(/^<\d\d:\d\d:\d\d> \[ada\] file: left\.bin$/m)
  await ada.shows(/^<\d\d:\d\d:\d\d> \[bob\] voice: right\.bin$/m)
  assert.ok(readFileSync(at('bob', 'left.bin')).equals(left))
  assert.ok(readFileSync(at('ada', 'right.bin')).equals(right))
  bob.keys('Escape')
  await bob.shows(/^status 0$/m)
  await ada.shows(/bob left/)
  ada.keys('C-c')
  await ada.shows(/^status 0$/m)
})

/** How much it is depends on the machine. */
function assertRight({ status, run }: Outcome): void {
  assert.deepEqual(run.errors, { total: 0, kinds: {}, details: {} })
  assert.equal(status, 0)
  assert.equal(run.messages.answered, run.messages.sent)
  assert.ok(run.messages.sent >= run.connections.wanted)
}

test('load-test rooms: the server fans texts out, and files through its spool', async () => {
  const target = `rooms://${address}`
  const texts = await load(target, { ...SHORT, window: 2, subscribers: 6, threads: 2 })
  assertRight(texts)
  assert.deepEqual(texts.run.fanOut?.members, { wanted: 10, opened: 10 })
  // One in memory, one in a file of the server.
  for (const size of ['100KiB', '300KiB'])
    assertRight(await load(target, { ...SHORT, connections: 2, files: true, size }))
})
