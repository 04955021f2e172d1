// The product as a library in the process of a bench, without services: for benches of what happens inside.
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createRuntime, type Runtime } from '../src/index.ts'
import { SlotTable } from '../src/placement/slots.ts'
import { SERVICES } from '../src/services/registry.ts'

const TRIES_MAX = 10_000
const QUIET = {
  'admin.port': 0,
  'log.level': 'warn',
  'net.maxConnections': 100,
  ...Object.fromEntries(SERVICES.map(({ name }) => [`services.${name}.enabled`, false])),
}

/** `module`: a file of bench/; `settings` come to the quiet ones. */
export function startRuntime(
  module: string,
  shards: number,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Runtime> {
  const modules = [pathToFileURL(fileURLToPath(new URL(module, import.meta.url)))]
  return createRuntime({ shards, modules, settings: { ...QUIET, ...settings }, logStream: process.stderr })
}

/** An id whose actor of this kind lives on the shard. */
export function idOn(shard: number, shards: number, kind: string): string {
  const table = SlotTable.allocate()
  table.spread(shards)
  for (let index = 0; index < TRIES_MAX; index++) {
    if (table.shardOfKey(`${kind}/${index}`) === shard) return String(index)
  }
  throw new Error(`no id of ${kind} for shard ${shard} of ${shards}`)
}
