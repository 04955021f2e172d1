// Requests for what is not there: 404, or 405 where another method is served.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { KnownPaths } from '../known-path.ts'
import { HTTP_TEXT, sendFailure } from './http-answer.ts'
import type { CountAnswer } from './http-counter.ts'

export class UnknownPath {
  readonly #known = new KnownPaths()
  readonly #count: CountAnswer

  constructor(count: CountAnswer) {
    this.#count = count
  }

  /** A path that is served, as Fastify writes it. */
  addRoute(url: string, methods: readonly string[]): void {
    this.#known.add(url, methods)
  }

  answer(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const methods = this.#known.methodsOf(request.url)
    // A path that is served but did not come to its route cannot be decoded, or its id is absurdly long.
    const isUnknown = methods.length === 0 || methods.includes(request.method)
    this.#count(request.method, isUnknown ? 404 : 405)
    if (isUnknown) return sendFailure(reply, 404, HTTP_TEXT.notFound)
    reply.header('allow', methods.join(', '))
    return sendFailure(reply, 405, HTTP_TEXT.methodWrong)
  }
}
