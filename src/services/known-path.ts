// The paths that an HTTP API serves, and with which methods: frameworks answer 404 where another method is served.
interface KnownPath {
  readonly pattern: RegExp
  readonly methods: readonly string[]
}

export class KnownPaths {
  readonly #known: KnownPath[] = []

  /** A path that is served, as Fastify writes it. */
  add(url: string, methods: readonly string[]): void {
    if (url === '*') return // preflights
    const pattern = new RegExp(`^${url.replace(/:\w+/g, '[^/]+').replace('*', '.*')}$`)
    this.#known.push({ pattern, methods })
  }

  /** The methods of a path, sorted; none: nothing is served there. */
  methodsOf(target: string): readonly string[] {
    const path = target.split('?', 1)[0] ?? ''
    const methods = this.#known.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods)
    return [...new Set(methods)].sort()
  }
}
