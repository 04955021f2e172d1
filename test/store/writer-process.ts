// The other end of store-writer.ts: starts it, reads what was acknowledged, kills it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { within } from '../harness/wait.ts'

const PROGRAM = new URL('store-writer.ts', import.meta.url).pathname

export interface Acknowledged {
  readonly id: number
  readonly content: string
}

export interface WriterProcess {
  /** So far. */
  readonly acknowledged: readonly Acknowledged[]
  /** Resolves when there are so many. */
  written(count: number): Promise<void>
  /** kill -9; resolves when it is gone and all it wrote is read. */
  kill(): Promise<void>
}

export function startWriter(path: string, name: string, writers: number): WriterProcess {
  const child = spawn(process.execPath, [PROGRAM, path, name, String(writers)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const acknowledged: Acknowledged[] = []
  let errors = ''
  let rest = ''
  let wanted = 0
  let onWanted = (): void => {}
  const closed = once(child, 'close')
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    // A line that was cut by the kill was not acknowledged as far as anybody can tell.
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const space = line.indexOf(' ')
      acknowledged.push({ id: Number(line.slice(0, space)), content: line.slice(space + 1) })
    }
    if (acknowledged.length >= wanted) onWanted()
  })
  return {
    acknowledged,
    written: async (count) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      wanted = count
      onWanted = resolve
      void closed.then(() => reject(new Error(`the writer ended: ${errors}`)))
      if (acknowledged.length >= count) resolve()
      await within(`${count} messages of the writer`, promise)
    },
    kill: async () => {
      child.kill('SIGKILL')
      await within('the end of the writer', closed)
    },
  }
}
