// The options that name a configuration on the command line, and loading what they name.
import type { Command } from 'commander'
import { readConfigFile } from '../config/loader.ts'
import { type EffectiveConfig, loadEffectiveConfig as load } from '../runtime/effective-config.ts'

export type { EffectiveConfig } from '../runtime/effective-config.ts'

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
export function loadEffectiveConfig(
  given: ConfigArguments,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<EffectiveConfig> {
  const path = given.config ?? environment.POLYLOOP_CONFIG
  return load({ file: path ? readConfigFile(path) : undefined, environment, flags: given.set ?? [] })
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}
