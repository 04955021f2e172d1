// Processor time and memory of the processes of one server, together.
import { cpuNsBetween, type ProcessSample, sampleProcess } from '../src/cli/load/process-probe.ts'

export interface Usage {
  readonly atMs: number
  readonly processes: readonly ProcessSample[]
}

/** Throws when a process is gone: a bench without its server has no result. */
export function usageOf(pids: readonly number[]): Usage {
  const processes = pids.map((pid) => {
    const sample = sampleProcess(pid)
    if (typeof sample === 'string') throw new Error(sample)
    return sample
  })
  return { atMs: performance.now(), processes }
}

export function cpuNsOf(before: Usage, after: Usage): number {
  return before.processes.reduce((sum, process, index) => {
    const later = after.processes[index]
    return later === undefined ? sum : sum + cpuNsBetween(process, later)
  }, 0)
}

export function residentBytesOf(usage: Usage): number {
  return usage.processes.reduce((sum, { residentBytes }) => sum + residentBytes, 0)
}
