// Faults of a thread that does calls for others, from outside: Node loads this file into every thread of a server
// (`--import`), and in the store's and the bridge's it obeys files that appear in a folder.
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread, workerData } from 'node:worker_threads'
import { THREAD } from '../../src/lib/thread.ts'

const FOLDER = 'THREAD_FAULT_FOLDER'
const LOOK_MS = 5

const PAUSE_MS = 60

type Target = 'bridge' | 'store'
type Fault = 'kill' | 'freeze' | 'pause'

/** What a server must be started with for `cause` to work. */
export function threadFaults(folder: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--import=${import.meta.url}`, [FOLDER]: folder }
}

/** The thread ends, never runs again, or stands still for a moment. */
export function cause(folder: string, target: Target, fault: Fault): void {
  writeFileSync(join(folder, `${target}-${fault}`), '')
}

function take(folder: string, target: Target, fault: Fault): boolean {
  const path = join(folder, `${target}-${fault}`)
  if (!existsSync(path)) return false
  rmSync(path)
  return true
}

function obey(folder: string, target: Target): void {
  setInterval(() => {
    if (take(folder, target, 'kill')) process.exit(1)
    if (take(folder, target, 'freeze')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    if (take(folder, target, 'pause')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
  }, LOOK_MS).unref()
}

const folder = process.env[FOLDER]
const thread = isMainThread ? undefined : (workerData as { thread?: number } | null)?.thread
if (folder !== undefined && thread === THREAD.store) obey(folder, 'store')
if (folder !== undefined && thread === THREAD.bridge) obey(folder, 'bridge')
