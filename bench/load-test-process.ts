// `polyloop load-test` as a process on the generator's core, and the figures of its report that benches want.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { RunReport } from '../src/cli/load/report.ts'
import { pinned } from './machine.ts'

const CLI = join(import.meta.dirname, '../bin/polyloop.js')

export interface LoadRun {
  readonly answers: number
  readonly serverCpuUs: number
  readonly p50Ns: number
}

/** `options` are flags of the load test without their dashes. Throws when a message was lost or wrong. */
export async function runLoadTest(
  target: string,
  pid: number,
  options: Readonly<Record<string, string | number>>,
): Promise<LoadRun> {
  const flags = Object.entries(options).map(([key, value]) => `--${key}=${value}`)
  const [file = '', ...line] = pinned('client', [
    process.execPath,
    CLI,
    'load-test',
    target,
    `--pid=${pid}`,
    '--json',
    '--session-keys',
    ...flags,
  ])
  const child = spawn(file, line, { stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = once(child, 'exit') as Promise<[number | null]>
  const output = await text(child.stdout)
  const [status] = await ended
  const { ok, runs } = JSON.parse(output || '{"ok":false,"runs":[]}') as { ok: boolean; runs: RunReport[] }
  const [run] = runs
  if (status !== 0 || !ok || run?.server === undefined || 'unavailable' in run.server) {
    throw new Error(`the load test failed (${status}): ${JSON.stringify(run?.errors ?? output.slice(0, 200))}`)
  }
  return {
    answers: run.throughput.answers,
    serverCpuUs: run.server.cpuUsPerMessage,
    p50Ns: run.latency.p50Ns,
  }
}
