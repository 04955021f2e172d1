// Loads a configuration: file, then environment, then flags, a later one wins. All problems are reported at once.
import { readFileSync, statSync } from 'node:fs'
import { inspect } from 'node:util'
import { PolyloopError } from '../lib/errors.ts'
import { CORE_OPTIONS } from './core-options.ts'
import { type Kind, REFUSED } from './kind.ts'
import type { ConfigOf, OptionRows } from './option.ts'
import { ConfigProblem } from './problem.ts'
import { checkRelations, type Resolved } from './relation.ts'
import { type ConfigFile, ConfigSources, FILE_BYTES_MAX } from './source.ts'

/** Where values come from, the least first. */
export interface ConfigInput {
  readonly file?: ConfigFile | undefined
  /** Nested values a program gives; they count like a file's, so that the environment still wins. */
  readonly values?: object | undefined
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Each is `key=value`. */
  readonly flags?: readonly string[]
}

export interface ConfigRequest<Rows extends OptionRows> extends ConfigInput {
  readonly options: Rows
}

export interface LoadedConfig<Rows extends OptionRows> {
  /** Nested and deeply frozen; a structured clone of it is not frozen (`deepFreeze`). */
  readonly config: ConfigOf<Rows>
  /** Key → `default`, `file:line`, `argument`, `env NAME` or `flag`. */
  readonly origins: ReadonlyMap<string, string>
}

/** Throws CONFIG_INVALID with `details.problems`, a ConfigProblem for each thing that is wrong. */
export function loadConfig<Rows extends OptionRows>(request: ConfigRequest<Rows>): LoadedConfig<Rows> {
  const rows: OptionRows = request.options
  const sources = collected(rows, request)
  const problems = sources.problems
  const resolved = new Map<string, Resolved>()
  for (const [key, row] of Object.entries(rows)) {
    const given = sources.values.get(key)
    const value = given === undefined ? row.default : row.kind.decode(given.raw)
    if (value !== REFUSED) resolved.set(key, { value, origin: given?.origin ?? 'default' })
    else if (given !== undefined) problems.push(new ConfigProblem(key, given.origin, refusal(row.kind, given.raw)))
  }
  problems.push(...checkRelations(rows, resolved))
  if (problems.length > 0) throw new PolyloopError('CONFIG_INVALID', { problems })

  const config: Branch = {}
  for (const [key, { value }] of resolved) insert(config, key.split('.'), value)
  const origins = new Map([...resolved].map(([key, { origin }]) => [key, origin]))
  // `insert` builds what ConfigOf says, key by key.
  return { config: deepFreeze(config) as ConfigOf<Rows>, origins }
}

/**
 * The value of `modules`, before anything else is known: modules bring services, services bring rows, and without all
 * rows the rest cannot be judged. Nothing when the value is wrong; `loadConfig` says so then.
 */
export function configuredModules(input: ConfigInput): readonly string[] {
  const { modules } = CORE_OPTIONS
  const given = collected({ modules }, input).values.get('modules')
  const value = given === undefined ? modules.default : modules.kind.decode(given.raw)
  return value === REFUSED ? [] : value
}

function collected(rows: OptionRows, input: ConfigInput): ConfigSources {
  const sources = new ConfigSources(rows)
  if (input.file !== undefined) sources.addFile(input.file)
  if (input.values !== undefined) sources.addValues(input.values)
  sources.addEnvironment(input.environment ?? {})
  sources.addFlags(input.flags ?? [])
  return sources
}

/** Reads the file for `loadConfig`; throws CONFIG_INVALID when it cannot. */
export function readConfigFile(path: string): ConfigFile {
  try {
    const { size } = statSync(path)
    if (size <= FILE_BYTES_MAX) return { path, text: readFileSync(path, 'utf8') }
    throw new RangeError(`${size} bytes, more than ${FILE_BYTES_MAX}`)
  } catch (cause) {
    const text = `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
    throw new PolyloopError('CONFIG_INVALID', { problems: [new ConfigProblem('', path, text)] }, { cause })
  }
}

/** Freezes plain objects and arrays all the way down; for a config that crossed to another thread. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}

type Branch = { [name: string]: unknown }

/** A value in a problem's text: from a file it may be deep, long, or contain itself. */
const SHOWN = { depth: 1, maxArrayLength: 5, maxStringLength: 80, breakLength: Number.POSITIVE_INFINITY } as const

function refusal(kind: Kind<unknown>, raw: unknown): string {
  return `must be ${kind.accepts}${kind.mask === undefined ? `, not ${inspect(raw, SHOWN)}` : ' (value not shown)'}`
}

function insert(branch: Branch, [name = '', ...rest]: string[], value: unknown): void {
  if (rest.length === 0) {
    branch[name] = value
    return
  }
  branch[name] ??= {}
  insert(branch[name] as Branch, rest, value)
}
