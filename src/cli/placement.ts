// `polyloop placement KEY`: the slot and the shard of a session key, in the running server, or else by configuration.
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { shardCountOf } from '../config/automatic.ts'
import type { RuntimeReport } from '../observe/report.ts'
import { SlotTable, slotOf } from '../placement/slots.ts'
import { type AdminArguments, AdminClient, addAdminOptions } from './admin-client.ts'
import type { CommandContext } from './command.ts'
import { addConfigOptions, type ConfigArguments, loadEffectiveConfig } from './effective-config.ts'

interface PlacementArguments extends ConfigArguments, AdminArguments {
  readonly shards?: string
}

export function register(command: Command, context: CommandContext): void {
  addAdminOptions(addConfigOptions(command))
    .argument(
      '<key>',
      'a session key, such as echo:alice or peer:127.0.0.1:50000; alice is also tried as ?session=alice',
    )
    .option('--shards <n>', 'number of shards, the same as --set shards=N; the running server is not asked then')
    .action(async (key: string, given: PlacementArguments) => {
      const offline = given.shards !== undefined || given.config !== undefined || given.set !== undefined
      const running = offline ? undefined : await new AdminClient(given, context.environment).runtime()
      if (running?.ok === false && !running.absent) {
        context.stderr.write(`placement: ${running.problem}\n`)
        context.setStatus(1)
        return
      }
      const shards = running?.ok ? countOf(running.value) : await configuredShards(given, context)
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

/** A shard has two seats while a reload moves it. */
function countOf({ shards }: RuntimeReport): number {
  return new Set(shards.map(({ id }) => id)).size
}

async function configuredShards(given: PlacementArguments, context: CommandContext): Promise<number> {
  const set = [...(given.set ?? []), ...(given.shards === undefined ? [] : [`shards=${given.shards}`])]
  const { config } = await loadEffectiveConfig({ ...given, set }, context.environment)
  return shardCountOf(config.shards, availableParallelism())
}
