import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Outlet, type OutletOwner, QUEUED_BYTES_MAX, QUEUED_MESSAGES_MAX } from '../../src/services/rooms/outlet.ts'
import { CHUNK_BYTES, SpoolReaders } from '../../src/services/rooms/spool-reader.ts'
import { waitUntil } from '../harness/wait.ts'

const folder = mkdtempSync(join(tmpdir(), 'polyloop-outlet-'))
after(() => rmSync(folder, { recursive: true }))

/** A member whose connection takes what a test lets it. */
class World implements OutletOwner {
  readonly said: string[] = []
  sent = ''
  messages = 0
  congested = false
  bufferedBytes = 0
  unsent = 0
  open = true
  readonly readers: SpoolReaders
  readonly outlet: Outlet

  constructor(readers = new SpoolReaders()) {
    this.readers = readers
    this.outlet = new Outlet(this, this, this.readers)
  }

  sendShared(bytes: Uint8Array, messages: number): void {
    this.sent += Buffer.from(bytes).toString('latin1')
    this.messages += messages
  }

  unsentBytes(): number {
    return this.unsent
  }

  push(text: string): void {
    this.outlet.push(Buffer.from(text), 1, text.length)
  }

  relieve(): void {
    this.congested = false
    this.outlet.pump()
  }

  drop(reason: string): void {
    this.said.push(`drop ${reason}`)
    this.outlet.close()
  }

  failed(error: unknown): void {
    this.said.push(`failed ${(error as NodeJS.ErrnoException).code}`)
    this.outlet.close()
  }

  read(file: number): void {
    this.said.push(`read ${file}`)
  }

  delivered(): void {}

  drained(): void {
    this.said.push('drained')
  }
}

function spooled(number: number, bytes: number): { file: number; path: string; bytes: number } {
  const path = join(folder, String(number))
  writeFileSync(path, Buffer.alloc(bytes, `${number}`))
  return { file: number, path, bytes }
}

test('outlet: what the connection takes goes at once, what it does not waits in order', () => {
  const world = new World()
  world.push('a')
  assert.equal(world.sent, 'a')
  world.congested = true
  world.push('b')
  world.push('c')
  assert.deepEqual([world.sent, world.outlet.isEmpty], ['a', false])
  world.relieve()
  assert.deepEqual([world.sent, world.outlet.isEmpty, world.said], ['abc', true, ['drained']])
})

test('outlet: at its limits it holds, beyond them its member is dropped once', () => {
  const world = new World()
  world.congested = true
  for (let count = 0; count < QUEUED_MESSAGES_MAX; count++) world.push('x')
  assert.deepEqual(world.said, [])
  world.push('x')
  world.push('x')
  assert.deepEqual(world.said, ['drop queue'])
  const other = new World()
  other.congested = true
  other.outlet.push(Buffer.alloc(QUEUED_BYTES_MAX), 1, 0)
  assert.deepEqual(other.said, [])
  other.push('x')
  assert.deepEqual(other.said, ['drop queue'])
})

test('outlet: a content on disk comes behind its frame, and what follows behind it', async () => {
  const world = new World()
  const content = spooled(1, 2 * CHUNK_BYTES + 1)
  world.outlet.push(Buffer.from('head'), 1, content.bytes, content)
  world.push('next')
  await waitUntil('all of it', () => world.outlet.isEmpty)
  assert.equal(world.sent, `head${'1'.repeat(content.bytes)}next`)
  assert.deepEqual([world.said, world.messages], [['read 1', 'drained'], 2])
})

test('outlet: a congested connection gets one chunk at a time, and level readers share it', async () => {
  const readers = new SpoolReaders()
  const worlds = [new World(readers), new World(readers)]
  const content = spooled(2, 3 * CHUNK_BYTES)
  for (const world of worlds) {
    world.outlet.push(Buffer.from(''), 1, content.bytes, content)
    world.congested = true
  }
  for (let chunk = 1; chunk <= 3; chunk++) {
    await waitUntil('a chunk each', () => worlds.every(({ sent }) => sent.length === chunk * CHUNK_BYTES))
    await new Promise((resolve) => setImmediate(resolve))
    for (const world of worlds) {
      assert.equal(world.sent.length, chunk * CHUNK_BYTES)
      world.relieve()
      world.congested = true
    }
  }
  assert.ok(worlds.every(({ said }) => said[0] === 'read 2'))
})

test('outlet: a content that is not there, or too short, fails', async () => {
  const world = new World()
  world.outlet.push(Buffer.from('head'), 1, 10, { file: 3, path: join(folder, 'nowhere'), bytes: 10 })
  await waitUntil('it fails', () => world.said.length > 0)
  assert.deepEqual(world.said, ['failed ENOENT'])
  const other = new World()
  other.outlet.push(Buffer.from('head'), 1, 10, { ...spooled(4, 9), bytes: 10 })
  await waitUntil('it fails', () => other.said.length > 0)
  assert.equal(other.said[0], 'failed undefined')
})

test('outlet: flushes what lies in memory, up to a content on disk', () => {
  const world = new World()
  world.congested = true
  world.push('a')
  world.push('b')
  world.outlet.push(Buffer.from('head'), 1, 10, spooled(5, 10))
  world.push('c')
  world.outlet.flush()
  assert.equal(world.sent, 'ab')
  world.outlet.close()
  assert.ok(world.outlet.isEmpty)
})

test('outlet: stalled when nothing was taken for the whole time, never early', () => {
  const world = new World()
  assert.equal(world.outlet.isStalled(1_000, 60), false)
  world.push('four')
  world.bufferedBytes = 4
  world.unsent = 8
  assert.equal(world.outlet.isStalled(5_000, 60), false, 'its time begins when something waits')
  assert.equal(world.outlet.isStalled(5_059, 60), false)
  assert.equal(world.outlet.isStalled(5_060, 60), true)
  world.unsent = 7
  assert.equal(world.outlet.isStalled(5_060, 60), false, 'the kernel took a byte of one write')
  world.push('more')
  world.bufferedBytes = 8
  world.unsent = 11
  assert.equal(world.outlet.isStalled(5_120, 60), true, 'what is pushed meanwhile is no progress')
  world.bufferedBytes = 4
  world.unsent = 8
  assert.equal(world.outlet.isStalled(5_121, 60), false, 'a whole write was taken')
  world.bufferedBytes = 0
  world.unsent = 0
  assert.equal(world.outlet.isStalled(9_999, 60), false)
})
