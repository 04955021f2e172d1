// The folder of a cluster belongs to one process at a time: two redis-servers that append to the same files ruin them. A
// file in it names the process; what a process that died has left counts for nothing.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const OWNER_FILE = 'cluster.pid'

/** Makes the folder, and takes it. A text: why it cannot be had. */
export function takeFolder(folder: string, pid: number): string | undefined {
  const file = join(folder, OWNER_FILE)
  const owner = ownerOf(file)
  if (owner !== undefined && owner !== pid && isAlive(owner)) {
    return `${folder} is that of process ${owner}: end that, or name another folder with --data (${file} says so)`
  }
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(file, `${pid}\n`)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

export function leaveFolder(folder: string): void {
  rmSync(join(folder, OWNER_FILE), { force: true })
}

function ownerOf(file: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10)
    return pid > 0 ? pid : undefined
  } catch {
    return undefined // Nobody has it.
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // Somebody else's.
  }
}
