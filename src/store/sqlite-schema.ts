// The tables of the SQLite store, as the steps that lead to them: a fresh file takes them all, an older one those it
// lacks. A step that was released is never changed; what is new is a new step.
import type { DatabaseSync } from 'node:sqlite'
import { PolyloopError } from '../lib/errors.ts'
import { userName } from './store-rule.ts'

/** `PLOP`: tells our files from other programs'. */
const APPLICATION_ID = 0x504c4f50

// STRICT, so that no column ever holds what its type does not say. AUTOINCREMENT, so that no id comes twice even if rows
// are deleted some day. `messages` and `participants` of a chat are counts; `messages` is its last sequence too. CHECK
// with OR, because `type IN (…)` of four costs as much as the rest of an insert.
const STEPS: readonly string[] = [
  `CREATE TABLE users (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     created_at INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE chats (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     name TEXT NOT NULL,
     type TEXT NOT NULL CHECK (type = 'direct' OR type = 'group' OR type = 'channel'),
     creator_id INTEGER NOT NULL REFERENCES users (id),
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL,
     participants INTEGER NOT NULL,
     messages INTEGER NOT NULL DEFAULT 0
   ) STRICT;
   CREATE TABLE participants (
     user_id INTEGER NOT NULL REFERENCES users (id),
     chat_id INTEGER NOT NULL REFERENCES chats (id),
     role TEXT NOT NULL CHECK (role = 'admin' OR role = 'member'),
     PRIMARY KEY (user_id, chat_id)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE messages (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     chat_id INTEGER NOT NULL REFERENCES chats (id),
     sequence INTEGER NOT NULL,
     sender_id INTEGER NOT NULL REFERENCES users (id),
     content TEXT NOT NULL,
     type TEXT NOT NULL CHECK (type = 'Text' OR type = 'Image' OR type = 'File' OR type = 'System'),
     created_at INTEGER NOT NULL,
     UNIQUE (chat_id, sequence)
   ) STRICT;`,
  `CREATE TABLE states (
     key TEXT PRIMARY KEY,
     value BLOB NOT NULL
   ) STRICT;`,
]

export const SCHEMA_VERSION = STEPS.length

/**
 * The version of the tables, 0 for an empty file. Throws SQLite's errors, and STORE_FAILED for a file of another program or
 * of a newer version.
 */
export function schemaOf(database: DatabaseSync): number {
  const version = pragma(database, 'user_version')
  const application = pragma(database, 'application_id')
  if (version > 0 ? application !== APPLICATION_ID : hasTables(database)) {
    throw new PolyloopError('STORE_FAILED', { problem: 'the file is the database of another program' })
  }
  if (version > SCHEMA_VERSION) {
    const problem = `a newer version of Polyloop wrote the file: its schema is ${version}, this one knows ${SCHEMA_VERSION}`
    throw new PolyloopError('STORE_FAILED', { problem })
  }
  return version
}

/** Brings the tables up to date, in one transaction. Throws SQLite's errors; the connection is to be closed then. */
export function migrate(database: DatabaseSync, version: number, nowSeconds: number): void {
  if (version === SCHEMA_VERSION) return
  database.exec('BEGIN IMMEDIATE')
  for (const step of STEPS.slice(version)) database.exec(step)
  if (version === 0) seed(database, nowSeconds)
  database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}; PRAGMA application_id = ${APPLICATION_ID}; COMMIT`)
}

/** User 1 and chat 1, who a fresh store holds. */
function seed(database: DatabaseSync, nowSeconds: number): void {
  database.prepare('INSERT INTO users (id, name, created_at) VALUES (1, ?, ?)').run(userName(1), nowSeconds)
  database
    .prepare(
      `INSERT INTO chats (name, type, creator_id, created_at, updated_at, participants)
       VALUES ('General', 'group', 1, ?, ?, 1)`,
    )
    .run(nowSeconds, nowSeconds)
  database.exec(`INSERT INTO participants (user_id, chat_id, role) VALUES (1, 1, 'admin')`)
}

function pragma(database: DatabaseSync, name: 'user_version' | 'application_id'): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name])
}

function hasTables(database: DatabaseSync): boolean {
  return database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() !== undefined
}
