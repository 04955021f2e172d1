// What the peers of the chat benches store, and how: tables of the same shape as the store's, one insert and one update
// for each message, and the same care for the disk. Nothing of ours is in it.
import { DatabaseSync } from 'node:sqlite'

const SCHEMA = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA cache_size = -16000;
  PRAGMA foreign_keys = ON;
  CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE chats (id INTEGER PRIMARY KEY, updated_at INTEGER NOT NULL, messages INTEGER NOT NULL) STRICT;
  CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_id INTEGER NOT NULL REFERENCES chats (id),
    sequence INTEGER NOT NULL,
    sender_id INTEGER NOT NULL REFERENCES users (id),
    content TEXT NOT NULL,
    type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (chat_id, sequence)
  ) STRICT;
  INSERT INTO users VALUES (1, 'user-1');
  INSERT INTO chats VALUES (1, 0, 0);`

export interface ChatTable {
  begin(): void
  /** The message's id. Outside of a transaction each of the two statements would be one of its own. */
  add(content: string): number
  commit(): void
}

/** A fresh file at `path`. */
export function createChatTable(path: string): ChatTable {
  const database = new DatabaseSync(path)
  database.exec(SCHEMA)
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  const insert = database.prepare(
    'INSERT INTO messages (chat_id, sequence, sender_id, content, type, created_at) VALUES (?, ?, ?, ?, ?, ?)',
  )
  const update = database.prepare('UPDATE chats SET messages = ?, updated_at = ? WHERE id = ?')
  let sequence = 0
  return {
    begin: () => void begin.run(),
    add(content) {
      const nowSeconds = Math.floor(Date.now() / 1_000)
      const { lastInsertRowid } = insert.run(1, ++sequence, 1, content, 'Text', nowSeconds)
      update.run(sequence, nowSeconds, 1)
      return Number(lastInsertRowid)
    },
    commit: () => void commit.run(),
  }
}
