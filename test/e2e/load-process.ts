// `polyloop load-test` as a process beside a server: traffic of so many connections and messages a second until it is
// disposed of.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const bin = join(import.meta.dirname, '../../bin/polyloop.js')
/** Nothing runs for ever, not even when a test forgets it. */
const DURATION = '10m'

export interface LoadOptions {
  readonly connections: number
  readonly rate: number
}

export function startLoad(target: string, { connections, rate }: LoadOptions): AsyncDisposable {
  const line = ['load-test', target, `--connections=${connections}`, `--rate=${rate}`, `--duration=${DURATION}`]
  const child = spawn(process.execPath, [bin, ...line, '--warmup=0s', '--poisson', '--session-keys', '--threads=1'], {
    env: { PATH: process.env.PATH },
    stdio: 'ignore',
  })
  assert.ok(child.pid)
  return {
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}
