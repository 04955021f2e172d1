// `polyloop placement KEY`: the slot and the shard of a session key, computed from the configured number of shards.
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { shardCountOf } from '../config/automatic.ts'
import { SlotTable, slotOf } from '../placement/slots.ts'
import type { CommandContext } from './command.ts'
import { addConfigOptions, type ConfigArguments, loadEffectiveConfig } from './effective-config.ts'

export function register(command: Command, context: CommandContext): void {
  addConfigOptions(command)
    .argument('<key>', 'a session key, such as echo:alice or peer:127.0.0.1:50000')
    .option('--shards <n>', 'number of shards, the same as --set shards=N')
    .action(async (key: string, given: ConfigArguments & { shards?: string }) => {
      const set = [...(given.set ?? []), ...(given.shards === undefined ? [] : [`shards=${given.shards}`])]
      const { config } = await loadEffectiveConfig({ ...given, set }, context.environment)
      const shards = shardCountOf(config.shards, availableParallelism())
      const table = SlotTable.allocate()
      table.spread(shards)
      const slot = slotOf(key)
      context.stdout.write(`${key}: slot ${slot}, shard ${table.shardOf(slot)} (of ${shards}, counted from 0)\n`)
    })
}
