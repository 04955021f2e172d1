// `polyloop echo-server`: the echo service alone, on one address.
import type { Command } from 'commander'
import type { CommandContext } from './command.ts'
import { addConfigOptions, type ConfigArguments, loadEffectiveConfig } from './effective-config.ts'
import { runServices } from './start.ts'

interface EchoServerArguments extends ConfigArguments {
  readonly address: string
  readonly mode: string
}

export function register(command: Command, context: CommandContext): void {
  addConfigOptions(command)
    .option('--address <host:port>', 'TCP and UDP address; WebSocket listens on the next port', '127.0.0.1:8084')
    .option('--mode <mode>', 'complete, raw or simple', 'complete')
    .action(async (given: EchoServerArguments) => {
      const separator = given.address.lastIndexOf(':')
      const host = given.address.slice(0, separator).replace(/^\[|\]$/g, '')
      const port = Number(given.address.slice(separator + 1))
      if (separator < 1 || !Number.isInteger(port)) command.error(`--address wants HOST:PORT, not ${given.address}`)
      const set = [
        `services.echo.mode=${given.mode}`,
        ...['tcp', 'udp', 'ws'].map((transport) => `services.echo.${transport}.host=${host}`),
        ...['tcp', 'udp'].map((transport) => `services.echo.${transport}.port=${port}`),
        `services.echo.ws.port=${port === 0 ? 0 : port + 1}`,
        ...(given.set ?? []),
      ]
      await runServices(await loadEffectiveConfig({ ...given, set }, context.environment), context, ['echo'])
    })
}
