// One thing that is wrong with a configuration, as data that can cross threads.

export class ConfigProblem {
  readonly key: string
  /** `file:line`, `argument`, `env NAME`, `flag` or `default`. */
  readonly origin: string
  /** What is wrong, with bound and value. */
  readonly text: string

  constructor(key: string, origin: string, text: string) {
    this.key = key
    this.origin = origin
    this.text = text
  }

  toString(): string {
    return this.key === '' ? `${this.origin}: ${this.text}` : `${this.origin}: ${this.key}: ${this.text}`
  }
}
