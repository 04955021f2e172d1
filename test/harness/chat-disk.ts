// A small file system in memory that a test can fill: mounted where that is allowed.
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const FILLER = 'filler'

export class SmallDisk implements Disposable {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /** Undefined when this user may not mount. */
  static mount(mebibytes: number): SmallDisk | undefined {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined
    const folder = mkdtempSync(join(tmpdir(), 'polyloop-disk-'))
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'polyloop-test', folder])
    if (status === 0) return new SmallDisk(folder)
    rmdirSync(folder)
    return undefined
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder)
    return bavail * bsize
  }

  /** Takes space until no more than so many bytes are free. */
  fill(freeBytes: number): void {
    appendFileSync(join(this.folder, FILLER), Buffer.alloc(Math.max(0, this.freeBytes - freeBytes)))
  }

  /** Takes the filler away. */
  free(): void {
    rmSync(join(this.folder, FILLER), { force: true })
  }

  /** The mount ends when its last file is closed. */
  [Symbol.dispose](): void {
    spawnSync('umount', ['-l', this.folder])
    rmdirSync(this.folder)
  }
}
