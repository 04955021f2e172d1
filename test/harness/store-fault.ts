// Faults of the store's thread, from outside: Node loads this file into every thread of a server (`--import`), and in the
// store's it obeys files that appear in a folder.
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread, workerData } from 'node:worker_threads'
import { THREAD } from '../../src/lib/thread.ts'

const FOLDER = 'STORE_FAULT_FOLDER'
const LOOK_MS = 5

const PAUSE_MS = 60

type Fault = 'kill' | 'freeze' | 'pause'

/** What a server must be started with for `cause` to work. */
export function storeFaults(folder: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--import=${import.meta.url}`, [FOLDER]: folder }
}

/** The store's thread ends, never runs again, or stands still for a moment. */
export function cause(folder: string, fault: Fault): void {
  writeFileSync(join(folder, fault), '')
}

function take(folder: string, fault: Fault): boolean {
  const path = join(folder, fault)
  if (!existsSync(path)) return false
  rmSync(path)
  return true
}

const folder = process.env[FOLDER]
if (folder !== undefined && !isMainThread && (workerData as { thread?: number } | null)?.thread === THREAD.store) {
  setInterval(() => {
    if (take(folder, 'kill')) process.exit(1)
    if (take(folder, 'freeze')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    if (take(folder, 'pause')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
  }, LOOK_MS).unref()
}
