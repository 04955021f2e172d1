// What a program prints, for benches that run one and read its figures.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export interface ProgramOutput {
  readonly output: string
  /** Null when a signal ended it. */
  readonly status: number | null
}

/** Of a whole command line, until it ends. `stderr`: whether what it says there is shown. */
export async function outputOf(line: readonly string[], stderr: 'ignore' | 'inherit'): Promise<ProgramOutput> {
  const [file = '', ...rest] = line
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', stderr] })
  const ended = once(child, 'exit') as Promise<[number | null]>
  const output = await text(child.stdout)
  const [status] = await ended
  return { output, status }
}
