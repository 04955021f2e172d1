// Where contents lie on disk: `<spoolDirectory>/<process id>/<epoch>-<number>`, one directory of this process, which only
// its user may enter. What processes left that are no more is removed when a room begins; what a room of this one left,
// with the first content of the next.
import { mkdir, readdir, rm, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const DIRECTORY_MODE = 0o700

/** Readable and writable by this user alone. */
export const SPOOL_FILE_MODE = 0o600

export class SpoolDirectory {
  readonly #all: string
  readonly #own: string

  constructor(directory: string, processId: number) {
    this.#all = resolve(directory)
    this.#own = join(this.#all, String(processId))
  }

  pathOf(epoch: number, file: number): string {
    return join(this.#own, `${epoch}-${file}`)
  }

  /** Makes it, and removes what nobody needs any more: a room that begins has no files yet. */
  async prepare(): Promise<void> {
    await mkdir(this.#own, { recursive: true, mode: DIRECTORY_MODE })
    for (const name of await readdir(this.#own)) await this.remove(join(this.#own, name))
  }

  /** Removes what processes left that are no more, because they crashed or had no time. Makes nothing. */
  async sweep(): Promise<void> {
    for (const name of await namesIn(this.#all)) {
      if (/^\d+$/.test(name) && join(this.#all, name) !== this.#own && !isRunning(Number(name)))
        await rm(join(this.#all, name), { recursive: true, force: true })
    }
  }

  /** Also when it is not there. */
  async remove(path: string): Promise<void> {
    await unlink(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }

  /** Nobody needs it any more. */
  async close(): Promise<void> {
    await rm(this.#own, { recursive: true, force: true })
  }
}

/** None if the directory is not there. */
async function namesIn(directory: string): Promise<readonly string[]> {
  return await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return []
  })
}

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0)
    return true
  } catch (error) {
    // Somebody else's runs, too.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
