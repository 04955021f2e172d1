// `polyloop rooms-server`: the rooms service alone, on one address.
import type { Command } from 'commander'
import type { CommandContext } from './command.ts'
import { addConfigOptions, type ConfigArguments, loadEffectiveConfig } from './effective-config.ts'
import { runServices } from './start.ts'

interface RoomsServerArguments extends ConfigArguments {
  readonly address: string
}

export function register(command: Command, context: CommandContext): void {
  addConfigOptions(command)
    .option('-a, --address <host:port>', 'TCP address', '127.0.0.1:8083')
    .action(async (given: RoomsServerArguments) => {
      const separator = given.address.lastIndexOf(':')
      const host = given.address.slice(0, separator).replace(/^\[|\]$/g, '')
      const port = Number(given.address.slice(separator + 1))
      if (separator < 1 || !Number.isInteger(port)) command.error(`--address wants HOST:PORT, not ${given.address}`)
      const set = [`services.rooms.tcp.host=${host}`, `services.rooms.tcp.port=${port}`, ...(given.set ?? [])]
      await runServices(await loadEffectiveConfig({ ...given, set }, context.environment), context, ['rooms'])
    })
}
