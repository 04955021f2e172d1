// The store in one SQLite file: a batch with writes is one transaction, on disk before anything of it is answered. After
// trouble it recovers by itself: it rolls back, and opens the file anew where what is open cannot be trusted.
//
//     closed ──(a batch, at most every REOPEN_MS)──▶ open ──(anything but a full disk)──▶ closed
import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Clock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import type { LimitedLogger, Logger } from '../observe/logger.ts'
import { isOfOneCall, sqliteFailure } from './sqlite-failure.ts'
import { fileFailure, SqliteFile } from './sqlite-file.ts'
import { SqliteOperations } from './sqlite-operations.ts'
import { migrate, SCHEMA_VERSION, schemaOf } from './sqlite-schema.ts'
import {
  isWrite,
  perform,
  type StoreCall,
  type StoreEngine,
  type StoreFailure,
  type StoreOutcome,
} from './store-engine.ts'

/** A file that could not be opened, or was closed after trouble, is not tried again before. */
export const REOPEN_MS = 100
const LINES_PER_SECOND = 1

// Before anything is read: the journal then needs no shared memory beside the file, and nobody else gets in.
const LOCK = 'PRAGMA locking_mode = EXCLUSIVE'
// FULL syncs the journal at each commit; the two fullfsync are for macOS, where a sync alone stops at the disk's cache.
const PRAGMAS = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA fullfsync = ON;
  PRAGMA checkpoint_fullfsync = ON;
  PRAGMA cache_size = -16000;
  PRAGMA trusted_schema = OFF;`

export interface SqliteStoreOptions {
  /** A relative one starts at the working directory; missing folders are made. */
  readonly path: string
  readonly log: Logger
  readonly clock: Clock
}

interface Session {
  readonly database: DatabaseSync
  readonly file: SqliteFile
  readonly operations: SqliteOperations
  readonly begin: StatementSync
  readonly commit: StatementSync
}

export class SqliteStore implements StoreEngine {
  readonly #path: string
  readonly #log: Logger
  readonly #clock: Clock
  readonly #failures: LimitedLogger
  readonly #recoveries: LimitedLogger
  #session: Session | undefined
  /** There was a file: one that is missing later is not made anew behind everybody's back. */
  #wasOpen = false
  /** Parts may have been cut off, which SQLite fills with zeros when it closes: all pages are looked at before it is used. */
  #isSuspect = false
  #isFailing = false
  #lastFailure: StoreFailure = { ok: false, code: 'STORE_FAILED', problem: 'it is closed' }
  #retryAtMs = Number.NEGATIVE_INFINITY

  /** Tries to open the file; what is wrong with it is logged, and answered to every call. */
  constructor({ path, log, clock }: SqliteStoreOptions) {
    this.#path = resolve(path)
    this.#log = log
    this.#clock = clock
    this.#failures = log.limited('store.failed', LINES_PER_SECOND)
    this.#recoveries = log.limited('store.recovered', LINES_PER_SECOND)
    this.#openSession()
  }

  run(calls: readonly StoreCall[]): readonly StoreOutcome[] {
    const session = this.#session ?? this.#openSession()
    if (session === undefined) return calls.map(() => this.#lastFailure)
    if (!calls.some(({ operation }) => isWrite(operation))) return this.#runReads(session, calls)
    return this.#runTransaction(session, calls)
  }

  close(): void {
    this.#closeSession()
    this.#retryAtMs = Number.POSITIVE_INFINITY
    this.#lastFailure = { ok: false, code: 'STORE_FAILED', problem: 'it is closed' }
  }

  #runReads({ operations }: Session, calls: readonly StoreCall[]): StoreOutcome[] {
    return calls.map((call) => {
      try {
        return perform(operations, call)
      } catch (error) {
        const failure = sqliteFailure(error)
        if (isOfOneCall(error)) return failure
        // A damaged page spoils what lies in it, and no more; anything else may be mended by opening the file anew.
        if (failure.code === 'STORE_FAILED') this.#closeSession()
        return this.#failed(failure)
      }
    })
  }

  #runTransaction(session: Session, calls: readonly StoreCall[]): StoreOutcome[] {
    const { database, begin, commit, operations, file } = session
    const state = file.state()
    if (state !== 'intact') {
      // What is open still has everything in it while the file is gone: reads go on, and the file may come back.
      if (state === 'replaced') {
        this.#isSuspect = true
        this.#closeSession()
      }
      return this.#withoutWrites(calls, this.#failed(fileFailure(state, this.#path)))
    }
    const outcomes: StoreOutcome[] = []
    try {
      begin.run()
      for (const call of calls) outcomes.push(this.#inTransaction(operations, call))
      operations.settle()
      commit.run()
    } catch (error) {
      operations.forget()
      // The call at fault, unless it was the commit.
      const culprit = calls[outcomes.length]
      if (culprit !== undefined && !isWrite(culprit.operation) && tryRollBack(database)) {
        return this.#runApart(session, calls)
      }
      const failure = this.#failed(sqliteFailure(error))
      // Whatever else it was, an open database that fails once may hold what its file does not: SQLite looks anew.
      if (failure.code !== 'STORE_FULL' || !tryRollBack(database)) this.#closeSession()
      return this.#withoutWrites(calls, failure)
    }
    if (this.#isFailing) this.#recovered()
    return outcomes
  }

  #inTransaction(operations: SqliteOperations, call: StoreCall): StoreOutcome {
    try {
      return perform(operations, call)
    } catch (error) {
      if (!isOfOneCall(error)) throw error
      return sqliteFailure(error)
    }
  }

  /** A read that meets a damaged page spoils its transaction, and is no reason to refuse the writes beside it. */
  #runApart(session: Session, calls: readonly StoreCall[]): StoreOutcome[] {
    const written = this.#runTransaction(
      session,
      calls.filter(({ operation }) => isWrite(operation)),
    )
    let next = 0
    return calls.map((call) => {
      const outcome = isWrite(call.operation)
        ? written[next++]
        : this.#session && this.#runReads(this.#session, [call])[0]
      return outcome ?? this.#lastFailure
    })
  }

  /** The writes of the batch fail all alike; the reads are tried alone. */
  #withoutWrites(calls: readonly StoreCall[], failure: StoreFailure): StoreOutcome[] {
    return calls.map((call) => {
      if (isWrite(call.operation) || this.#session === undefined) return failure
      return this.#runReads(this.#session, [call])[0] ?? failure
    })
  }

  #openSession(): Session | undefined {
    const nowMs = this.#clock.nowMs()
    if (nowMs < this.#retryAtMs) return undefined
    let database: DatabaseSync | undefined
    try {
      if (this.#wasOpen && isMissing(this.#path)) {
        this.#retryAtMs = nowMs + REOPEN_MS
        this.#failed(fileFailure('gone', this.#path))
        return undefined
      }
      mkdirSync(dirname(this.#path), { recursive: true })
      // Waiting for a lock would stop the thread: its callers come again.
      database = new DatabaseSync(this.#path, { timeout: 0 })
      database.exec(LOCK)
      const version = schemaOf(database)
      if (this.#isSuspect) checkPages(database)
      this.#isSuspect = false
      database.exec(PRAGMAS)
      migrate(database, version, Math.floor(this.#clock.wallMs() / 1_000))
      const session = sessionOf(database, this.#path, this.#clock)
      this.#session = session
      this.#wasOpen = true
      this.#log.info('store.opened', { path: this.#path, schema: SCHEMA_VERSION, schemaFound: version })
      if (this.#isFailing) this.#recovered()
      return session
    } catch (error) {
      closeQuietly(database)
      this.#failed(sqliteFailure(error))
      this.#retryAtMs = nowMs + REOPEN_MS
      return undefined
    }
  }

  #closeSession(): void {
    closeQuietly(this.#session?.database)
    this.#session = undefined
    this.#retryAtMs = this.#clock.nowMs() + REOPEN_MS
  }

  #failed(failure: StoreFailure): StoreFailure {
    this.#isFailing = true
    this.#lastFailure = failure
    this.#failures.error({ path: this.#path, code: failure.code, problem: failure.problem })
    return failure
  }

  #recovered(): void {
    this.#isFailing = false
    this.#recoveries.info({ path: this.#path })
  }
}

function sessionOf(database: DatabaseSync, path: string, clock: Clock): Session {
  return {
    database,
    // SQLite has followed links, and its journal lies where they led.
    file: new SqliteFile(database.location() ?? path),
    operations: new SqliteOperations(database, clock),
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
  }
}

/** Reads the whole file: some seconds for a large one. Throws STORE_CORRUPT. */
function checkPages(database: DatabaseSync): void {
  const [problem] = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})
  if (problem !== 'ok') throw new PolyloopError('STORE_CORRUPT', { problem: String(problem) })
}

/** SQLite takes an empty file for a new one. */
function isMissing(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0
}

function tryRollBack(database: DatabaseSync): boolean {
  try {
    // Some errors have rolled it back already.
    if (database.isTransaction) database.exec('ROLLBACK')
    return true
  } catch {
    // Then it is closed and opened anew, which rolls back too.
    return false
  }
}

function closeQuietly(database: DatabaseSync | undefined): void {
  try {
    database?.close()
  } catch {
    // What is committed is in the journal: the next one who opens the file finds it there.
  }
}
