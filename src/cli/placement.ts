// `polyloop placement KEY`: the slot and the shard of a session key, in the running server, or else by configuration.
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { shardCountOf } from '../config/automatic.ts'
import type { RuntimeReport } from '../observe/report.ts'
import { SlotTable, slotOf } from '../placement/slots.ts'
import type { CommandContext } from './command.ts'
import { addConfigOptions, type ConfigArguments, loadEffectiveConfig } from './effective-config.ts'

interface PlacementArguments extends ConfigArguments {
  readonly shards?: string
  readonly admin: string
  readonly token?: string
}

const ADMIN = 'http://127.0.0.1:9464'
const ADMIN_DEADLINE_MS = 2_000

export function register(command: Command, context: CommandContext): void {
  addConfigOptions(command)
    .argument(
      '<key>',
      'a session key, such as echo:alice or peer:127.0.0.1:50000; alice is also tried as ?session=alice',
    )
    .option('--shards <n>', 'number of shards, the same as --set shards=N; the running server is not asked then')
    .option('--admin <url>', 'admin endpoint of the running server', ADMIN)
    .option('--token <token>', 'its token')
    .action(async (key: string, given: PlacementArguments) => {
      const offline = given.shards !== undefined || given.config !== undefined || given.set !== undefined
      const shards = (offline ? undefined : await runningShards(given)) ?? (await configuredShards(given, context))
      const table = SlotTable.allocate()
      table.spread(shards)
      for (const sessionKey of keysOf(key)) {
        const slot = slotOf(sessionKey)
        context.stdout.write(
          `${sessionKey}: slot ${slot}, shard ${table.shardOf(slot)} (of ${shards}, counted from 0)\n`,
        )
      }
    })
}

/** Session keys of our services have a prefix; a bare word is most likely what stands in an echo URL. */
function keysOf(key: string): readonly string[] {
  return key.includes(':') ? [key] : [`echo:${key}`, key]
}

/** Undefined when no server answers. */
async function runningShards({ admin, token }: PlacementArguments): Promise<number | undefined> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  let response: Response
  try {
    response = await fetch(new URL('/api/v1/runtime', admin), {
      headers,
      signal: AbortSignal.timeout(ADMIN_DEADLINE_MS),
    })
  } catch {
    return undefined
  }
  if (!response.ok) throw new Error(`${admin} answered ${response.status}`)
  return ((await response.json()) as RuntimeReport).shards.length
}

async function configuredShards(given: PlacementArguments, context: CommandContext): Promise<number> {
  const set = [...(given.set ?? []), ...(given.shards === undefined ? [] : [`shards=${given.shards}`])]
  const { config } = await loadEffectiveConfig({ ...given, set }, context.environment)
  return shardCountOf(config.shards, availableParallelism())
}
