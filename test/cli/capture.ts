// Runs a command line in this process and answers what it wrote. Used by the tests of the commands.
import { PassThrough, Writable } from 'node:stream'
import type { CommandRow, ExitStatus } from '../../src/cli/command.ts'
import { main } from '../../src/cli/main.ts'

export interface Captured {
  readonly status: ExitStatus
  readonly stdout: string
  readonly stderr: string
}

export async function runCommand(
  line: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  commands?: readonly CommandRow[],
): Promise<Captured> {
  const texts = { stdout: '', stderr: '' }
  const into = (name: 'stdout' | 'stderr'): Writable =>
    new Writable({
      decodeStrings: false,
      write: (text, _encoding, done) => {
        texts[name] += String(text)
        done()
      },
    })
  const stdin = new PassThrough()
  stdin.end()
  const context = {
    environment,
    stdin,
    stdout: into('stdout'),
    stderr: into('stderr'),
    takeSignals: () => {},
    takeHangups: () => {},
  }
  const status = await main(line, context, commands)
  return { status, ...texts }
}
