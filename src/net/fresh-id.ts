// New ids for `sessionOf`: unique on this machine, in no order that means anything.

export class FreshIds {
  readonly #prefix = `${process.pid.toString(36)}-${Date.now().toString(36)}-`
  #count = 0

  next(): string {
    return `${this.#prefix}${++this.#count}`
  }
}
