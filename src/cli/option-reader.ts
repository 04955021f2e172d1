// Reads the flags of a command one at a time, each against its limits, and collects what is wrong with them. Pure.
import { formatDuration, parseDuration, parseSize } from '../lib/units.ts'

/** A flag as typed, or as a test gives it. */
type Given = string | number | undefined

export class OptionReader<Options extends object> {
  readonly options: Options
  /** Without repeats: one flag may be read for several targets. */
  readonly problems = new Set<string>()

  constructor(options: Options) {
    this.options = options
  }

  problem(text: string): void {
    this.problems.add(text)
  }

  whole(name: keyof Options & string, fallback: number, min: number, max: number): number {
    const value = this.number(name, fallback, min, max)
    if (!Number.isInteger(value)) this.problem(`${flagOf(name)} is a whole number, not ${value}`)
    return value
  }

  number(name: keyof Options & string, fallback: number, min: number, max: number): number {
    return this.#bounded(name, fallback, min, max, (text) => (text.trim() === '' ? undefined : Number(text)), String)
  }

  /** Milliseconds. */
  duration(name: keyof Options & string, fallbackMs: number, minMs: number, maxMs: number): number {
    return this.#bounded(name, fallbackMs, minMs, maxMs, parseDuration, formatDuration)
  }

  /** Bytes. */
  size(name: keyof Options & string, fallback: number, min: number, max: number): number {
    return this.#bounded(name, fallback, min, max, parseSize, (bytes) => `${bytes} B`)
  }

  #bounded(
    name: keyof Options & string,
    fallback: number,
    min: number,
    max: number,
    parse: (text: string) => number | undefined,
    format: (value: number) => string,
  ): number {
    const given = this.options[name] as Given
    if (given === undefined) return fallback
    const value = parse(String(given))
    if (value !== undefined && value >= min && value <= max) return value
    this.problem(`${flagOf(name)} is ${format(min)} to ${format(max)}, not "${given}"`)
    return fallback
  }
}

/** As it is typed: `--per-page`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
