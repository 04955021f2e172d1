// The options that name a configuration on the command line, and loading what they name.
import type { Command } from 'commander'
import { readConfigFile } from '../config/loader.ts'
import { type EffectiveConfig as Loaded, loadEffectiveConfig as load } from '../runtime/effective-config.ts'
import type { ConfigSource } from '../runtime/fresh-config.ts'

export interface EffectiveConfig extends Loaded {
  /** Where it came from, to read it again. */
  readonly source: Omit<ConfigSource, 'only'>
}

export interface ConfigArguments {
  readonly config?: string
  readonly set?: readonly string[]
}

/** Adds `--config FILE` and `--set KEY=VALUE`. */
export function addConfigOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'YAML file (default: POLYLOOP_CONFIG, else none)')
    .option('--set <key=value>', 'set an option, for example net.backlog=1024; repeatable', collect)
}

/** Throws CONFIG_INVALID with all problems, or MODULE_INVALID. */
export async function loadEffectiveConfig(
  given: ConfigArguments,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<EffectiveConfig> {
  const path = (given.config ?? environment.POLYLOOP_CONFIG) || undefined
  const flags = given.set ?? []
  const loaded = await load({ file: path === undefined ? undefined : readConfigFile(path), environment, flags })
  return { ...loaded, source: { path, environment: { ...environment }, flags, modules: [] } }
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}
