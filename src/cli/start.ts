// `polyloop start`: runs the services until a signal, a second one of which ends the process at once.
import type { Command } from 'commander'
import { changedValues } from '../config/description.ts'
import { createLogSink } from '../observe/log-sink.ts'
import { Runtime } from '../runtime/runtime.ts'
import type { CommandContext } from './command.ts'
import {
  addConfigOptions,
  type ConfigArguments,
  type EffectiveConfig,
  loadEffectiveConfig,
} from './effective-config.ts'
import { version } from './main.ts'

interface StartArguments extends ConfigArguments {
  readonly shards?: string
  readonly only?: string
}

export function register(command: Command, context: CommandContext): void {
  addConfigOptions(command)
    .option('--shards <count>', 'number of shards, or auto: short for --set shards=COUNT')
    .option('--only <services>', 'run only these services, for example echo,chat')
    .action(async (given: StartArguments) => {
      const shards = given.shards === undefined ? [] : [`shards=${given.shards}`]
      const config = await loadEffectiveConfig(
        { ...given, set: [...(given.set ?? []), ...shards] },
        context.environment,
      )
      const only = given.only?.split(',').map((name) => name.trim())
      const known = config.services.map(({ name }) => name)
      const unknown = only?.find((name) => !known.includes(name))
      if (unknown !== undefined) command.error(`unknown service ${unknown}; there are: ${known.join(', ')}`)
      await runServices(config, context, only)
    })
}

/** Runs until a signal; sets the exit status: 0 when everything drained, else 1. */
export async function runServices(
  { config, services, actors, topics, options, origins, source }: EffectiveConfig,
  context: CommandContext,
  only?: readonly string[],
): Promise<void> {
  const sink = createLogSink({ pretty: config.log.pretty, stream: context.stdout })
  const runtime = new Runtime({
    config,
    services,
    actors,
    topics,
    version: version(),
    sink,
    only,
    source: { ...source, only },
  })
  process.on('exit', () => sink.writeNow())
  let signals = 0
  context.takeSignals(() => {
    if (++signals === 1) void runtime.drain()
    else process.exit(1)
  })
  context.takeHangups(() => void runtime.reload())
  runtime.log.info('config.loaded', { changed: changedValues(options, config, origins) })
  try {
    await runtime.start()
  } catch (error) {
    // A signal during the start ends it; how that went is what `ended` says.
    if (signals === 0) throw error
  }
  const clean = await runtime.ended
  await sink.close()
  context.setStatus(clean ? 0 : 1)
}
