// `polyloop load-test` as a process on the generator's core, and the figures of its report that benches want.
import { join } from 'node:path'
import type { RunReport } from '../src/cli/load/report.ts'
import { pinned } from './machine.ts'
import { outputOf } from './program-output.ts'

const CLI = join(import.meta.dirname, '../bin/polyloop.js')

export interface LoadRun {
  readonly answers: number
  readonly serverCpuUs: number
  readonly p50Ns: number
}

/** Flags of the load test without their dashes. */
export type LoadTestFlags = Readonly<Record<string, string | number>>

/** The report of a run on any core; lost messages are in it. */
export function loadReport(target: string, options: LoadTestFlags): Promise<RunReport> {
  return reportOf(target, options, (line) => [...line])
}

async function reportOf(
  target: string,
  options: LoadTestFlags,
  placed: (line: readonly string[]) => readonly string[],
): Promise<RunReport> {
  const flags = Object.entries(options).map(([key, value]) => `--${key}=${value}`)
  const sessions = target.startsWith('ws') ? ['--session-keys'] : []
  const line = placed([process.execPath, CLI, 'load-test', target, '--json', ...sessions, ...flags])
  const { output, status } = await outputOf(line, 'ignore')
  const { runs } = JSON.parse(output || '{"runs":[]}') as { runs: RunReport[] }
  const [run] = runs
  if (run === undefined) throw new Error(`the load test of ${target} ended with ${status} and no report`)
  return run
}

/** What the messages cost the server's process, the load on its own core. Throws when one was lost or wrong. */
export async function runLoadTest(target: string, pid: number, options: LoadTestFlags): Promise<LoadRun> {
  const placed = (line: readonly string[]): string[] => pinned('client', line)
  const { ok, errors, server, throughput, latency } = await reportOf(target, { pid, ...options }, placed)
  if (!ok || server === undefined || 'unavailable' in server) {
    throw new Error(`the load test of ${target} failed: ${JSON.stringify(errors)}`)
  }
  return { answers: throughput.answers, serverCpuUs: server.cpuUsPerMessage, p50Ns: latency.p50Ns }
}
