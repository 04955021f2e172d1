// `polyloop shards N`: changes the number of shards of the running server.
import { type Command, InvalidArgumentError } from 'commander'
import { SHARDS_MAX } from '../lib/thread.ts'
import { type AdminArguments, AdminClient, addAdminOptions } from './admin-client.ts'
import type { CommandContext } from './command.ts'
import { follow } from './move-follower.ts'

export function register(command: Command, context: CommandContext): void {
  addAdminOptions(command)
    .argument('<n>', `how many, 1 to ${SHARDS_MAX}`, parseCount)
    .action(async (count: number, given: AdminArguments) => {
      const client = new AdminClient(given, context.environment)
      context.setStatus(await follow('shards', client, () => client.control('shards', { count }), context))
    })
}

function parseCount(value: string): number {
  const count = Number(value)
  if (Number.isInteger(count) && count >= 1 && count <= SHARDS_MAX) return count
  throw new InvalidArgumentError(`It is an integer from 1 to ${SHARDS_MAX}.`)
}
