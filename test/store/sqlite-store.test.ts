import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { SCHEMA_VERSION } from '../../src/store/sqlite-schema.ts'
import { call, Folder, LogCapture, openEngine, run, shown, textMessage } from './store-fixture.ts'

const OLD_SCHEMA = readFileSync(new URL('schema-1.sql', import.meta.url), 'utf8')

function write(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

function query(path: string, sql: string): unknown[] {
  const database = new DatabaseSync(path, { readOnly: true })
  const rows = database.prepare(sql).all()
  database.close()
  return rows.map((row) => ({ ...row }))
}

test('sqlite store: everything is there after it was opened again, and ids go on', () => {
  using folder = new Folder()
  const path = folder.file('missing/folders/store.db')
  const first = openEngine('sqlite', path)
  run(first, textMessage('a'), call('createUser', { name: 'ada' }), textMessage('b', 1, 2))
  run(first, call('putState', { key: 'k', value: Buffer.from('v') }))
  const before = run(first, call('chat', { chatId: 1 }), call('messages', { chatId: 1, from: 1, count: 9 }))
  first.close()
  const second = openEngine('sqlite', path)
  const after = run(second, call('chat', { chatId: 1 }), call('messages', { chatId: 1, from: 1, count: 9 }))
  assert.deepEqual(after, before)
  const [state, message, user] = run(
    second,
    call('getState', { key: 'k' }),
    textMessage('c', 1, 2),
    call('createUser', { name: 'bob' }),
  ).map(shown)
  assert.deepEqual(Buffer.from(state as Uint8Array), Buffer.from('v'))
  assert.deepEqual(
    [(message as { id: number }).id, (message as { sequence: number }).sequence, user],
    [3, 3, { id: 3 }],
  )
  second.close()
  assert.match(String(shown(run(second, textMessage('d'))[0])), /^STORE_FAILED: it is closed/)
  assert.deepEqual(query(path, 'SELECT count(*) AS n FROM messages'), [{ n: 3 }])
})

test('sqlite store: a batch is one transaction, and a refused call does not spoil it', () => {
  using folder = new Folder()
  const engine = openEngine('sqlite', folder.file())
  const outcomes = run(
    engine,
    textMessage('a'),
    textMessage('x', 99),
    call('chat', { chatId: 1 }),
    textMessage('x', 1, 99),
    call('createChat', { name: 'new', type: 'group', creatorId: 1, participants: [] }),
    textMessage('b', 2),
    textMessage('c'),
    call('addMessage', { chatId: 1, senderId: 1, content: 'x', type: 'Poem' as 'Text', createSender: false }),
    call('addMessage', { chatId: 1, senderId: 1, content: {} as never, type: 'Text', createSender: false }),
    call('recentMessages', { chatId: 1, count: 1 }),
    call('chatsOf', { userId: 1 }),
  )
  const [first, unknownChat, chat, unknownSender, created, second, third, badType, noText, recent, listed] =
    outcomes.map(shown)
  assert.equal(unknownChat, 'STORE_CONSTRAINT: FOREIGN KEY constraint failed')
  assert.equal(unknownSender, unknownChat)
  assert.match(String(badType), /^STORE_CONSTRAINT: CHECK constraint failed/)
  assert.match(String(noText), /^STORE_FAILED: /)
  assert.deepEqual((chat as { lastMessage: unknown }).lastMessage, first)
  assert.deepEqual(created, { id: 2, skipped: [] })
  assert.deepEqual(recent, { total: 2, messages: [third] })
  const last = (listed as { id: number; lastMessage: unknown }[]).map(({ id, lastMessage }) => [id, lastMessage])
  assert.deepEqual(last, [
    [2, second],
    [1, third],
  ])
  engine.close()
  const rows = query(folder.file(), 'SELECT id, chat_id, sequence, content FROM messages ORDER BY id')
  assert.deepEqual(rows, [
    { id: 1, chat_id: 1, sequence: 1, content: 'a' },
    { id: 2, chat_id: 2, sequence: 1, content: 'b' },
    { id: 3, chat_id: 1, sequence: 2, content: 'c' },
  ])
})

test('sqlite store: what is acknowledged is in the journal, and nobody else gets in', () => {
  using folder = new Folder()
  const engine = openEngine('sqlite', folder.file())
  run(engine, textMessage('a text to be found'))
  assert.ok(readFileSync(`${folder.file()}-wal`).includes('a text to be found'))
  assert.throws(() => query(folder.file(), 'SELECT 1 FROM messages'), /locked/)
  engine.close()
})

test('sqlite store: a file of schema 1 is brought up to date', () => {
  using folder = new Folder()
  const path = folder.file()
  write(path, OLD_SCHEMA)
  const capture = new LogCapture(new ManualClock())
  const engine = openEngine('sqlite', path, new ManualClock(), capture.log)
  assert.deepEqual(
    capture.of('store.opened').map(({ schema, schemaFound }) => [schema, schemaFound]),
    [[SCHEMA_VERSION, 1]],
  )
  const [chat, recent, ids, , state, sent] = run(
    engine,
    call('chat', { chatId: 2 }),
    call('recentMessages', { chatId: 1, count: 9 }),
    call('chatIdsOf', { userId: 2 }),
    call('putState', { key: 'k', value: Buffer.from('v') }),
    call('getState', { key: 'k' }),
    textMessage('fourth', 2, 2),
  ).map(shown)
  const third = { chatId: 2, senderId: 2, content: 'third', type: 'Text', createdAt: 1_767_225_611 }
  assert.deepEqual(chat, {
    id: 2,
    name: 'both',
    type: 'direct',
    creatorId: 2,
    createdAt: 1_767_225_605,
    updatedAt: 1_767_225_611,
    participants: 2,
    lastMessage: { id: 4, sequence: 1, ...third },
  })
  assert.deepEqual(
    (recent as { messages: { content: string }[] }).messages.map(({ content }) => content),
    ['first', 'second'],
  )
  assert.deepEqual(ids, [1, 2])
  assert.equal(Buffer.from(state as Uint8Array).toString(), 'v')
  assert.deepEqual([(sent as { id: number }).id, (sent as { sequence: number }).sequence], [5, 2])
  engine.close()
  const fresh = folder.file('fresh.db')
  openEngine('sqlite', fresh).close()
  const tables = 'SELECT name, sql FROM sqlite_schema ORDER BY name'
  assert.deepEqual(query(path, tables), query(fresh, tables), 'the steps lead to what a fresh file has')
  assert.deepEqual(query(path, 'PRAGMA user_version'), [{ user_version: SCHEMA_VERSION }])
})

test('sqlite store: a migration that fails leaves the file as it was', () => {
  using folder = new Folder()
  write(folder.file(), `${OLD_SCHEMA}; CREATE TABLE states (mine TEXT)`)
  const engine = openEngine('sqlite', folder.file())
  assert.match(String(shown(run(engine, textMessage('x'))[0])), /^STORE_FAILED: table states already exists/)
  engine.close()
  assert.deepEqual(query(folder.file(), 'PRAGMA user_version'), [{ user_version: 1 }])
})

test('sqlite store: a file of a newer version, or of another program, is refused and not touched', () => {
  using folder = new Folder()
  const newer = folder.file('newer.db')
  write(newer, `${OLD_SCHEMA}; PRAGMA user_version = 99`)
  const foreign = folder.file('foreign.db')
  write(foreign, 'CREATE TABLE recipes (name TEXT)')
  const numbered = folder.file('numbered.db')
  write(numbered, 'CREATE TABLE recipes (name TEXT); PRAGMA user_version = 1')
  const reasons = [
    [newer, /^STORE_FAILED: a newer version of Polyloop wrote the file: its schema is 99, this one knows \d+$/],
    [foreign, /^STORE_FAILED: the file is the database of another program$/],
    [numbered, /^STORE_FAILED: the file is the database of another program$/],
  ] as const
  for (const [path, reason] of reasons) {
    const before = readFileSync(path)
    const capture = new LogCapture(new ManualClock())
    const engine = openEngine('sqlite', path, new ManualClock(), capture.log)
    assert.match(String(shown(run(engine, textMessage('x'))[0])), reason)
    assert.match(String(shown(run(engine, call('chat', { chatId: 1 }))[0])), reason)
    assert.equal(capture.of('store.failed').length, 1)
    assert.equal(capture.of('store.failed')[0]?.level, 'error')
    engine.close()
    assert.ok(readFileSync(path).equals(before))
  }
})
