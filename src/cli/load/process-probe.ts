// Processor time and memory of another process of this machine, from /proc. Linux only; elsewhere there is no probe.
import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks per second in /proc/<pid>/stat: 100 on every Linux that Node runs on (USER_HZ is part of its ABI). */
const TICKS_PER_SECOND = 100

export interface ProcessSample {
  /** Processor time since the threads started, by thread id. */
  readonly cpuNsByThread: ReadonlyMap<string, number>
  readonly residentBytes: number
}

/** A sample of the process, or why there is none. */
export function sampleProcess(pid: number, platform: NodeJS.Platform = process.platform): ProcessSample | string {
  if (platform !== 'linux') return `not available on ${platform}`
  try {
    const cpuNsByThread = new Map<string, number>()
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const cpuNs = threadCpuNs(`/proc/${pid}/task/${thread}`)
      if (cpuNs !== undefined) cpuNsByThread.set(thread, cpuNs)
    }
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    return { cpuNsByThread, residentBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024 }
  } catch {
    return `there is no process ${pid}`
  }
}

/** Processor time between two samples. What threads that ended in between used after the first one is not in it. */
export function cpuNsBetween(before: ProcessSample, after: ProcessSample): number {
  let sumNs = 0
  for (const [thread, cpuNs] of after.cpuNsByThread) sumNs += cpuNs - (before.cpuNsByThread.get(thread) ?? 0)
  return sumNs
}

function threadCpuNs(folder: string): number | undefined {
  try {
    return scheduledNsOf(readFileSync(`${folder}/schedstat`, 'latin1'))
  } catch {
    // Kernels without schedstat; or the thread has just ended, then the next read fails as well.
  }
  try {
    return cpuNsOf(readFileSync(`${folder}/stat`, 'latin1'))
  } catch {
    return undefined
  }
}

/** The first number of a schedstat file: nanoseconds on a processor. */
export function scheduledNsOf(schedstat: string): number {
  return Number(schedstat.split(' ', 1)[0])
}

/** utime + stime of a stat file. The thread's name, in parentheses, may contain anything, parentheses included. */
export function cpuNsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1e9) / TICKS_PER_SECOND
}
