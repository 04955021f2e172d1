// The files of an open database, watched: SQLite holds on to a file that was deleted, and what it writes then is lost.
import { type Stats, statSync } from 'node:fs'
import type { StoreFailure } from './store-engine.ts'

/** `replaced`: another file is there now, or a part was cut off: open it again. `gone`: keep what is open. */
export type FileState = 'intact' | 'gone' | 'replaced'

interface Watched {
  readonly path: string
  readonly inode: number
  readonly device: number
  bytes: number
}

export class SqliteFile {
  readonly #watched: readonly Watched[]

  /** After the journal is there. */
  constructor(path: string) {
    this.#watched = [path, `${path}-wal`].map((one) => {
      const { ino, dev, size } = statSync(one)
      return { path: one, inode: ino, device: dev, bytes: size }
    })
  }

  /** Two calls of the system, a few microseconds. */
  state(): FileState {
    let state: FileState = 'intact'
    for (const watched of this.#watched) {
      const stats = statsOf(watched.path)
      if (stats === undefined) return 'gone'
      // Neither file ever shrinks while it is open: there is no VACUUM, and the journal is not truncated.
      const isSame = stats.ino === watched.inode && stats.dev === watched.device && stats.size >= watched.bytes
      if (!isSame) state = 'replaced'
      watched.bytes = stats.size
    }
    return state
  }
}

/** Undefined too when its folder may not be read any more. */
function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

export function fileFailure(state: 'gone' | 'replaced', path: string): StoreFailure {
  const what = state === 'gone' ? 'deleted, emptied or moved away' : 'replaced or cut off'
  return { ok: false, code: 'STORE_FAILED', problem: `${path} or its journal was ${what}` }
}
