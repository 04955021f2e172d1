// Loading a configuration with the rows of all services, the user's own included: modules bring services, services
// bring rows, and only all rows together can judge a configuration.
import type { ActorDefinition } from '../actor/definition.ts'
import type { TopicDefinition } from '../actor/topic-definition.ts'
import type { CORE_OPTIONS } from '../config/core-options.ts'
import { type ConfigInput, configuredModules, type LoadedConfig, loadConfig } from '../config/loader.ts'
import type { OptionRows } from '../config/option.ts'
import type { ConfigProblem } from '../config/problem.ts'
import { optionTable } from '../config/service-options.ts'
import { PolyloopError } from '../lib/errors.ts'
import { type Definitions, loadDefinitions, SERVICES } from '../services/registry.ts'
import type { ServiceDefinition } from '../services/service.ts'

export interface EffectiveConfig extends LoadedConfig<typeof CORE_OPTIONS> {
  readonly services: readonly ServiceDefinition[]
  /** The modules'. */
  readonly actors: readonly ActorDefinition[]
  readonly topics: readonly TopicDefinition[]
  /** All rows: the core's and those of all services. */
  readonly options: OptionRows
}

/** `modules`: beside those that the configuration names. Throws CONFIG_INVALID with all problems, or MODULE_INVALID. */
export async function loadEffectiveConfig(
  input: ConfigInput,
  modules: readonly string[] = [],
): Promise<EffectiveConfig> {
  let definitions: Definitions
  const all = [...configuredModules(input), ...modules]
  try {
    definitions = await loadDefinitions(all)
  } catch (error) {
    checkWithoutModules(input)
    throw error
  }
  const { services, actors, topics } = definitions
  const options = optionTable(services)
  const { config, origins }: LoadedConfig<typeof CORE_OPTIONS> = loadConfig({ ...input, options })
  return { services, actors, topics, options, origins, config: { ...config, modules: all } }
}

// A problem of the configuration explains more than the module that failed because of it. What the module's own
// services are configured with cannot be judged.
function checkWithoutModules(input: ConfigInput): void {
  try {
    loadConfig({ ...input, options: optionTable(SERVICES) })
  } catch (error) {
    const all = error instanceof PolyloopError ? (error.details.problems as readonly ConfigProblem[]) : []
    const problems = all.filter(({ key }) => !key.startsWith('services.'))
    if (problems.length > 0) throw new PolyloopError('CONFIG_INVALID', { problems })
  }
}
