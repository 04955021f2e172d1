// `polyloop reload`: new threads with new code and configuration take over everything, and nobody is disconnected.
import type { Command } from 'commander'
import { type AdminArguments, AdminClient, addAdminOptions } from './admin-client.ts'
import type { CommandContext } from './command.ts'
import { follow } from './move-follower.ts'

export function register(command: Command, context: CommandContext): void {
  addAdminOptions(command).action(async (given: AdminArguments) => {
    const client = new AdminClient(given, context.environment)
    context.setStatus(await follow('reload', client, () => client.control('reload'), context))
  })
}
