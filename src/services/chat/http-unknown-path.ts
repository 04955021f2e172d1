// Requests for what is not there: 404, or 405 where another method is served.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { HTTP_TEXT, sendFailure } from './http-answer.ts'
import type { CountAnswer } from './http-counter.ts'

interface KnownPath {
  readonly pattern: RegExp
  readonly methods: readonly string[]
}

export class UnknownPath {
  readonly #known: KnownPath[] = []
  readonly #count: CountAnswer

  constructor(count: CountAnswer) {
    this.#count = count
  }

  /** A path that is served, as Fastify writes it. */
  addRoute(url: string, methods: readonly string[]): void {
    if (url === '*') return // preflights
    const pattern = new RegExp(`^${url.replace(/:\w+/g, '[^/]+').replace('*', '.*')}$`)
    this.#known.push({ pattern, methods })
  }

  answer(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const path = request.url.split('?', 1)[0] ?? ''
    const methods = this.#known.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods)
    // A path that is served but did not come to its route cannot be decoded, or its id is absurdly long.
    const isUnknown = methods.length === 0 || methods.includes(request.method)
    this.#count(request.method, isUnknown ? 404 : 405)
    if (isUnknown) return sendFailure(reply, 404, HTTP_TEXT.notFound)
    reply.header('allow', [...new Set(methods)].sort().join(', '))
    return sendFailure(reply, 405, HTTP_TEXT.methodWrong)
  }
}
