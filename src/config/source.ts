// Where values come from: a YAML file, the environment, flags. Each source turns into raw values by key, with their
// origin; what it cannot place is a problem. Knows no bounds: decoding is the loader's.
import { isAlias, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml'
import { environmentName, type OptionRows, sectionsOf } from './option.ts'
import { ConfigProblem } from './problem.ts'
import { didYouMean } from './suggestion.ts'

export interface ConfigFile {
  readonly path: string
  readonly text: string
}

export interface RawValue {
  readonly raw: unknown
  readonly origin: string
}

/** A config file larger than this is a mistake. */
export const FILE_BYTES_MAX = 1024 * 1024

/** One slip of the pen can break thousands of lines after it. */
const SYNTAX_PROBLEMS_MAX = 5

/**
 * POLYLOOP_ variables that are not options: the path of the config file, and what Kubernetes puts into every pod beside
 * a service that is named `polyloop` (POLYLOOP_SERVICE_HOST, POLYLOOP_PORT_8084_TCP_ADDR).
 */
const NOT_OPTIONS = /^POLYLOOP_(CONFIG$|SERVICE_(HOST$|PORT(_|$))|PORT(_|$))/

/** Collects raw values from all sources; of two for one key the one that came later stays. */
export class ConfigSources {
  readonly values = new Map<string, RawValue>()
  readonly problems: ConfigProblem[] = []
  readonly #rows: OptionRows
  readonly #sections: Set<string>

  constructor(rows: OptionRows) {
    this.#rows = rows
    this.#sections = sectionsOf(rows)
  }

  addFile(file: ConfigFile): void {
    const lines = new LineCounter()
    const document = parseDocument(file.text, { lineCounter: lines, prettyErrors: false })
    const at = (offset = 0): string => `${file.path}:${lines.linePos(offset).line}`
    for (const error of document.errors.slice(0, SYNTAX_PROBLEMS_MAX)) this.#refuse('', at(error.pos[0]), error.message)
    if (document.errors.length > 0 || document.contents === null) return

    // Depth is bounded: only into sections, and a section's name is a prefix of a key.
    const walk = (node: unknown, path: string, origin: string): void => {
      const value = resolve(node)
      if (path !== '' && !this.#sections.has(path)) {
        this.#place(path, plain(value), origin)
        return
      }
      if (value === null || (isScalar(value) && value.value === null)) return
      if (!isMap(value)) {
        this.#refuse(path, origin, 'must be a section, a map of keys')
        return
      }
      for (const pair of value.items) {
        const key = isScalar(pair.key) ? String(pair.key.value) : '?'
        const offset = isNode(pair.key) ? pair.key.range?.[0] : undefined
        walk(pair.value, path === '' ? key : `${path}.${key}`, at(offset))
      }
    }
    const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node)
    // toJS() bounds how often an alias may be expanded; a document that exceeds it is refused with its key.
    const plain = (node: unknown): unknown => {
      try {
        return isNode(node) ? node.toJS(document) : (node ?? null)
      } catch {
        return Symbol('alias that expands too far')
      }
    }
    walk(document.contents, '', at(0))
  }

  /** Nested values that a program gives, in the notation of the file or decoded. */
  addValues(values: object, path = ''): void {
    for (const [name, value] of Object.entries(values) as [string, unknown][]) {
      const key = path === '' ? name : `${path}.${name}`
      if (value === undefined) continue
      if (!this.#sections.has(key)) this.#place(key, value, 'argument')
      else if (typeof value === 'object' && value !== null) this.addValues(value, key)
      else this.#refuse(key, 'argument', 'must be a section, an object of keys')
    }
  }

  addEnvironment(environment: Readonly<Record<string, string | undefined>>): void {
    const keys = new Map<string, string>()
    for (const [key, row] of Object.entries(this.#rows)) {
      keys.set(environmentName(key), key)
      for (const member of row.kind.members ?? []) keys.set(environmentName(`${key}.${member}`), `${key}.${member}`)
    }
    // The platform's usual name counts less than our own.
    const redisUrl = environment.REDIS_URL
    if (redisUrl && 'bridge.redis.url' in this.#rows) this.#place('bridge.redis.url', redisUrl, 'env REDIS_URL')
    for (const [name, value] of Object.entries(environment)) {
      if (!name.startsWith('POLYLOOP_') || NOT_OPTIONS.test(name)) continue
      const key = keys.get(name)
      if (key === undefined) this.#refuse('', `env ${name}`, `no such option${didYouMean(name, keys.keys())}`)
      // An empty variable is how compose files and shells say "not set".
      else if (value) this.#place(key, value, `env ${name}`)
    }
  }

  /** Each is `key=value`. */
  addFlags(flags: readonly string[]): void {
    for (const flag of flags) {
      const equals = flag.indexOf('=')
      if (equals < 1) this.#refuse('', 'flag', `--set ${flag}: must be KEY=VALUE`)
      else this.#place(flag.slice(0, equals), flag.slice(equals + 1), 'flag')
    }
  }

  #place(key: string, raw: unknown, origin: string): void {
    if (Object.hasOwn(this.#rows, key)) {
      if (raw !== null) this.values.set(key, { raw, origin })
      return
    }
    const parent = key.slice(0, Math.max(0, key.lastIndexOf('.')))
    const member = key.slice(parent.length + 1)
    if (Object.hasOwn(this.#rows, parent) && this.#rows[parent]?.kind.members?.includes(member)) {
      const earlier = this.values.get(parent)?.raw
      const raws = { ...(typeof earlier === 'object' ? earlier : {}), [member]: raw }
      this.values.set(parent, { raw: raws, origin })
      return
    }
    this.#refuse(key, origin, `no such option${this.#nearest(key)}`)
  }

  /** Nearest key, or section, of the same depth; a service's section written without `services.` is named in full. */
  #nearest(key: string): string {
    if (this.#sections.has(key)) return ' (it is a section)'
    const names = [...Object.keys(this.#rows), ...this.#sections]
    const full = `services.${key}`
    if (names.includes(full)) return ` (did you mean ${full}?)`
    const depth = key.split('.').length
    return didYouMean(
      key,
      names.filter((name) => name.split('.').length === depth),
    )
  }

  #refuse(key: string, origin: string, text: string): void {
    this.problems.push(new ConfigProblem(key, origin, text))
  }
}
