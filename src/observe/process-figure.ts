// What only the process as a whole has: CPU time, resident memory, open files.
import { readdirSync } from 'node:fs'
import type { FamilyName } from './family.ts'

/** The values now, by family. Open files are missing where there is no /proc. */
export function processValues(): Map<FamilyName, number> {
  const { user, system } = process.cpuUsage()
  const values = new Map<FamilyName, number>([
    ['cpu', (user + system) / 1e6],
    ['residentMemory', process.memoryUsage.rss()],
    ['startTime', Math.round(Date.now() / 1000 - process.uptime())],
  ])
  const files = openFiles()
  if (files !== undefined) values.set('openFiles', files)
  return values
}

function openFiles(): number | undefined {
  try {
    // One is the directory handle of the listing itself.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return undefined // not Linux: the figure is absent, as the family's help allows
  }
}
