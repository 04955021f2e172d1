// A store whose file has trouble while it is open. Real files, real disks; time stands still until told.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { type TestContext, test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { REOPEN_MS } from '../../src/store/sqlite-store.ts'
import type { StoredMessage } from '../../src/store/store.ts'
import type { StoreEngine } from '../../src/store/store-engine.ts'
import { call, Folder, LogCapture, openEngine, run, shown, textMessage } from './store-fixture.ts'

const READ = call('messages', { chatId: 1, from: 1, count: 10_000 })
/** SQLite's own. */
const PAGE_BYTES = 4_096
const ROOT = process.getuid?.() === 0

interface Subject {
  readonly engine: StoreEngine
  readonly clock: ManualClock
  readonly capture: LogCapture
}

function subject(path: string): Subject {
  const clock = new ManualClock()
  const capture = new LogCapture(clock)
  return { engine: openEngine('sqlite', path, clock, capture.log), clock, capture }
}

function contentsOf(engine: StoreEngine): string[] {
  return (shown(run(engine, READ)[0]) as StoredMessage[]).map(({ content }) => content)
}

/** Messages that fill some pages, so that there is something to cut off. */
function fill(engine: StoreEngine, count: number): string[] {
  const contents = Array.from({ length: count }, (_, index) => `${index}:${'x'.repeat(3_000)}`)
  for (const outcome of run(engine, ...contents.map((content) => textMessage(content)))) assert.ok(outcome.ok)
  return contents
}

/** A disk of its own, or a skipped test. */
function mountDisk(context: TestContext, folder: Folder, size: string): string | undefined {
  const path = folder.file('disk')
  mkdirSync(path)
  const mounted = ROOT && spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path]).status === 0
  if (mounted) return path
  context.skip('mounting a small disk takes root')
  return undefined
}

test('store trouble: a full disk refuses writes by name, and nothing else is lost', (context) => {
  using folder = new Folder()
  const disk = mountDisk(context, folder, '3m')
  if (disk === undefined) return
  try {
    const { engine, capture } = subject(`${disk}/store.db`)
    writeFileSync(`${disk}/ballast`, Buffer.alloc(2_000_000))
    const stored: string[] = []
    let refused = 0
    for (let batch = 0; refused < 5; batch++) {
      assert.ok(batch < 1_000, 'the disk is full at last')
      const contents = Array.from({ length: 20 }, (_, index) => `${batch}.${index}:${'x'.repeat(1_000)}`)
      const [read, ...sent] = run(engine, READ, ...contents.map((content) => textMessage(content)))
      if (sent[0]?.ok === true) {
        stored.push(...contents)
        continue
      }
      refused++
      for (const outcome of sent) assert.equal(shown(outcome), 'STORE_FULL: database or disk is full')
      assert.equal((shown(read) as unknown[]).length, stored.length, 'a read beside them is answered')
    }
    assert.ok(stored.length > 0)
    assert.deepEqual(contentsOf(engine), stored)
    assert.deepEqual(
      capture.of('store.failed').map(({ level, code }) => [level, code]),
      [['error', 'STORE_FULL']],
    )
    rmSync(`${disk}/ballast`)
    const sent = shown(run(engine, textMessage('space again'))[0]) as StoredMessage
    stored.push('space again')
    assert.deepEqual([sent.sequence, sent.id], [stored.length, stored.length])
    assert.equal(capture.of('store.recovered').length, 1)
    engine.close()
    const again = subject(`${disk}/store.db`)
    assert.deepEqual(contentsOf(again.engine), stored)
    again.engine.close()
  } finally {
    assert.equal(spawnSync('umount', [disk]).status, 0)
  }
})

test('store trouble: without room for a file at all it opens when there is some', (context) => {
  using folder = new Folder()
  const disk = mountDisk(context, folder, '1m')
  if (disk === undefined) return
  try {
    writeFileSync(`${disk}/ballast`, Buffer.alloc(1_048_576 - 4_096))
    const { engine, clock } = subject(`${disk}/store.db`)
    assert.match(String(shown(run(engine, textMessage('x'))[0])), /^STORE_FULL: /)
    rmSync(`${disk}/ballast`)
    clock.advance(REOPEN_MS)
    assert.equal((shown(run(engine, textMessage('x'))[0]) as StoredMessage).id, 1)
    engine.close()
  } finally {
    assert.equal(spawnSync('umount', [disk]).status, 0)
  }
})

test('store trouble: garbage instead of a file is refused, not overwritten, and forgotten when it is gone', () => {
  using folder = new Folder()
  const garbage = Buffer.from('this is no database, whatever its name says\n'.repeat(500))
  writeFileSync(folder.file(), garbage)
  const { engine, clock, capture } = subject(folder.file())
  for (const one of [textMessage('x'), READ]) {
    assert.equal(shown(run(engine, one)[0]), 'STORE_CORRUPT: file is not a database')
    clock.advance(REOPEN_MS)
  }
  assert.ok(readFileSync(folder.file()).equals(garbage))
  assert.equal(capture.of('store.failed')[0]?.level, 'error')
  unlinkSync(folder.file())
  assert.equal((shown(run(engine, textMessage('x'))[0]) as StoredMessage).id, 1)
  assert.equal(capture.of('store.recovered').length, 1)
  engine.close()
})

for (const part of ['', '-wal'] as const) {
  test(`store trouble: while store.db${part} is away nothing is acknowledged, and reads go on`, () => {
    using folder = new Folder()
    const { engine, clock, capture } = subject(folder.file())
    const stored = fill(engine, 5)
    renameSync(`${folder.file()}${part}`, folder.file('elsewhere'))
    for (let round = 0; round < 3; round++) {
      const [write, read] = run(engine, textMessage('lost'), READ)
      assert.match(String(shown(write)), /^STORE_FAILED: .* was deleted, emptied or moved away$/)
      assert.equal((shown(read) as unknown[]).length, 5)
      clock.advance(REOPEN_MS)
    }
    assert.ok(capture.of('store.failed').length > 0)
    renameSync(folder.file('elsewhere'), `${folder.file()}${part}`)
    assert.equal((shown(run(engine, textMessage('back'))[0]) as StoredMessage).sequence, 6)
    engine.close()
    const again = subject(folder.file())
    assert.deepEqual(contentsOf(again.engine), [...stored, 'back'])
    again.engine.close()
  })
}

test('store trouble: a backup that takes the place of the file is opened', () => {
  using folder = new Folder()
  const first = subject(folder.file())
  const kept = fill(first.engine, 3)
  first.engine.close()
  copyFileSync(folder.file(), folder.file('backup'))
  const { engine, clock } = subject(folder.file())
  run(engine, textMessage('after the backup'))
  for (const part of ['', '-wal']) unlinkSync(`${folder.file()}${part}`)
  linkSync(folder.file('backup'), folder.file())
  // Its journal is missing still; then the next batch finds another file.
  assert.match(String(shown(run(engine, textMessage('x'))[0])), /^STORE_FAILED/)
  writeFileSync(`${folder.file()}-wal`, '')
  assert.match(String(shown(run(engine, textMessage('x'))[0])), /^STORE_FAILED: .* was replaced or cut off$/)
  clock.advance(REOPEN_MS)
  assert.deepEqual(contentsOf(engine), kept)
  assert.equal((shown(run(engine, textMessage('x'))[0]) as StoredMessage).sequence, 4)
  engine.close()
})

test('store trouble: a file that was cut off acknowledges nothing', () => {
  using folder = new Folder()
  const first = subject(folder.file())
  fill(first.engine, 300)
  first.engine.close()
  const { engine, clock, capture } = subject(folder.file())
  run(engine, textMessage('in the journal'))
  truncateSync(folder.file(), statSync(folder.file()).size >> 1)
  assert.match(String(shown(run(engine, textMessage('x'))[0])), /^STORE_FAILED: .* was replaced or cut off$/)
  for (let round = 0; round < 3; round++) {
    clock.advance(1_000)
    for (const outcome of run(engine, textMessage('x'), READ)) assert.match(String(shown(outcome)), /^STORE_CORRUPT: /)
  }
  assert.equal(capture.of('store.failed').at(-1)?.code, 'STORE_CORRUPT')
  engine.close()
})

test('store trouble: a file that was emptied is not taken for a new one', () => {
  using folder = new Folder()
  const first = subject(folder.file())
  fill(first.engine, 300)
  first.engine.close()
  const { engine, clock } = subject(folder.file())
  truncateSync(folder.file(), 0)
  for (let round = 0; round < 3; round++) {
    const [write, read] = run(engine, textMessage('x'), READ)
    assert.match(String(shown(write)), /^STORE_FAILED: .* was (replaced or cut off|deleted, emptied or moved away)$/)
    assert.match(String(shown(read)), /^STORE_FAILED/)
    clock.advance(REOPEN_MS)
  }
  assert.equal(statSync(folder.file()).size, 0)
  engine.close()
})

test('store trouble: what lies in a damaged page is refused by name', () => {
  using folder = new Folder()
  const first = subject(folder.file())
  fill(first.engine, 300)
  first.engine.close()
  const bytes = readFileSync(folder.file())
  const page = bytes.indexOf('150:xxx') & ~(PAGE_BYTES - 1)
  bytes.fill(0x41, page, page + PAGE_BYTES)
  writeFileSync(folder.file(), bytes)
  const { engine } = subject(folder.file())
  for (const write of [textMessage('x'), textMessage('y')]) {
    const [read, sent, ids] = run(engine, READ, write, call('chatIdsOf', { userId: 1 }))
    assert.equal(shown(read), 'STORE_CORRUPT: database disk image is malformed')
    assert.ok(sent?.ok, 'a write beside it is done')
    assert.deepEqual(shown(ids), [1])
  }
  assert.equal(shown(run(engine, READ)[0]), 'STORE_CORRUPT: database disk image is malformed')
  engine.close()
})

test('store trouble: a folder that cannot be written to', { skip: ROOT ? 'root may write everywhere' : false }, () => {
  using folder = new Folder()
  chmodSync(folder.path, 0o500)
  const { engine, clock } = subject(folder.file())
  assert.equal(shown(run(engine, textMessage('x'))[0]), 'STORE_FAILED: unable to open database file')
  chmodSync(folder.path, 0o700)
  clock.advance(REOPEN_MS)
  assert.equal((shown(run(engine, textMessage('x'))[0]) as StoredMessage).id, 1)
  engine.close()
})

test('store trouble: a folder in the place of the file, a file in the place of the folder', () => {
  using folder = new Folder()
  mkdirSync(folder.file())
  const { engine } = subject(folder.file())
  assert.equal(shown(run(engine, textMessage('x'))[0]), 'STORE_FAILED: unable to open database file')
  engine.close()
  writeFileSync(folder.file('plain'), '')
  const other = subject(folder.file('plain/store.db'))
  assert.match(String(shown(run(other.engine, textMessage('x'))[0])), /^STORE_FAILED: E(NOTDIR|EXIST)/)
  other.engine.close()
})
