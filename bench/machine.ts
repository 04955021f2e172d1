// What the benches need to know of the machine: its name, its cores and who runs on which, its limit of open files.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'

/** Core numbers this process may use, from /proc; elsewhere one by one. */
function allowedCores(): number[] {
  try {
    const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? ''
    return list.split(',').flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, index) => first + index)
    })
  } catch {
    return cpus().map((_, index) => index)
  }
}

export const CORES: readonly number[] = allowedCores()

/** Servers get all cores but the last, load generators the last one: neither takes time from the other. */
const ROLE_CORES = { server: CORES.slice(0, -1), client: CORES.slice(-1) } as const
/** Guessed: the load average remembers the last minute, so what led to the bench counts a little. */
const QUIET_LOAD_PER_CORE_MAX = 0.5
const CAN_PIN = CORES.length > 1 && spawnSync('taskset', ['--version']).status === 0

/** A command line that runs `line` on the cores of its role; the line itself where that cannot be. */
export function pinned(role: keyof typeof ROLE_CORES, line: readonly string[]): string[] {
  return CAN_PIN ? ['taskset', '-c', ROLE_CORES[role].join(','), ...line] : [...line]
}

export function pinningNote(): string {
  if (!CAN_PIN) return 'server and generator share the cores (no taskset, or one core)'
  return `server on core ${ROLE_CORES.server.join(', ')}, generator on core ${ROLE_CORES.client.join(', ')}`
}

/** `ulimit -n`, hard or soft, whichever is lower; Infinity where /proc does not tell. */
export function openFilesMax(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
    return soft === undefined ? Infinity : Number(soft)
  } catch {
    return Infinity
  }
}

/** Undefined on a quiet machine. */
export function disturbanceNote(): string | undefined {
  const [load = 0] = loadavg()
  if (load < QUIET_LOAD_PER_CORE_MAX * CORES.length) return undefined
  return `other programs use this machine (load average ${load.toFixed(1)}): the figures are worth little, some ratios too`
}

export function machineLine(): string {
  const day = new Date().toISOString().slice(0, 10)
  const cores = `${CORES.length} ${CORES.length === 1 ? 'core' : 'cores'}`
  return `${cpus()[0]?.model ?? 'unknown processor'}, ${cores}, ${process.platform} ${process.arch}, Node ${process.version}, ${day}`
}
