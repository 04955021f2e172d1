// The configuration a command works with: the options that name it, and loading it with the rows of all services, the
// user's own included.
import type { Command } from 'commander'
import type { CORE_OPTIONS } from '../config/core-options.ts'
import { configuredModules, type LoadedConfig, loadConfig, readConfigFile } from '../config/loader.ts'
import type { OptionRows } from '../config/option.ts'
import { optionTable } from '../config/service-options.ts'
import { loadServices, SERVICES } from '../services/registry.ts'
import type { ServiceDefinition } from '../services/service.ts'

export interface ConfigArguments {
  readonly config?: string
  readonly set?: readonly string[]
}

export interface EffectiveConfig extends LoadedConfig<typeof CORE_OPTIONS> {
  readonly services: readonly ServiceDefinition[]
  /** All rows: the core's and those of all services. */
  readonly options: OptionRows
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
  const path = given.config ?? environment.POLYLOOP_CONFIG
  const sources = { file: path ? readConfigFile(path) : undefined, environment, flags: given.set ?? [] }
  let services = SERVICES
  try {
    services = await loadServices(configuredModules(sources))
  } catch (error) {
    // A problem of the configuration explains more than the module that failed because of it.
    loadConfig({ ...sources, options: optionTable(SERVICES) })
    throw error
  }
  const options = optionTable(services)
  return { services, options, ...loadConfig({ ...sources, options }) }
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}
