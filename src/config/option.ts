// An option row and the types that follow from a table of rows. The table is the single source: the loader, the
// config type, config/default.yaml and docs/CONFIG.md all come from it.
import { assert } from '../lib/assert.ts'
import { type Kind, REFUSED } from './kind.ts'

export interface Option<T> {
  readonly kind: Kind<T>
  readonly default: T
  /** One sentence: what it means, what happens at the limit, when to change it. */
  readonly text: string
}

/** Flat dotted keys: `net.sendBuffer.max`. */
export type OptionRows = Readonly<Record<string, Option<unknown>>>

/** The nested, typed config of a table of rows: `config.net.sendBuffer.max` is a number. */
export type ConfigOf<Rows> = {
  readonly [Head in HeadOf<keyof Rows & string>]: Head extends keyof Rows
    ? ValueOf<Rows[Head]>
    : ConfigOf<{ [Key in keyof Rows as Key extends `${Head}.${infer Rest}` ? Rest : never]: Rows[Key] }>
}

type HeadOf<Key extends string> = Key extends `${infer Head}.${string}` ? Head : Key
type ValueOf<Row> = Row extends Option<infer T> ? T : never

/** A row. `fallback` is in the notation of the configuration (`'64KiB'`, `'5s'`); undefined for nothing. */
export function option<T>(kind: Kind<T>, fallback: unknown, text: string): Option<T> {
  // Only the default of an optional option is undefined, and its kind says so in its type.
  const value = fallback === undefined ? (undefined as T) : kind.decode(fallback)
  assert(value !== REFUSED, `default ${String(fallback)} is ${kind.accepts}`)
  assert(fallback !== undefined || kind.encode(value) === 'null', 'only an optional option has no default')
  return { kind, default: value, text }
}

/** A table of rows, checked: no key is also the section of another, and environment names are unambiguous. */
export function defineOptions<const Rows extends OptionRows>(rows: Rows): Rows {
  const sections = sectionsOf(rows)
  const names = new Set<string>()
  for (const key of Object.keys(rows)) {
    assert(!sections.has(key), `option ${key} is not also a section`)
    const name = environmentName(key)
    assert(!names.has(name), `only one option is named ${name} in the environment`)
    names.add(name)
  }
  return rows
}

/** Every proper prefix of a key: `net`, `net.sendBuffer`. */
export function sectionsOf(rows: OptionRows): Set<string> {
  const sections = new Set<string>()
  for (const key of Object.keys(rows)) {
    for (let dot = key.indexOf('.'); dot !== -1; dot = key.indexOf('.', dot + 1)) sections.add(key.slice(0, dot))
  }
  return sections
}

/** `net.sendBuffer.max` → `POLYLOOP_NET_SENDBUFFER_MAX`. */
export function environmentName(key: string): string {
  return `POLYLOOP_${key.replaceAll(/[.-]/g, '_').toUpperCase()}`
}
