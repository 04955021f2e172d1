// What the port of the session proxy answers to requests that are no WebSockets: how it is, and what there is not.
// [PROTOCOLS 5.3]
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Bridge } from '../../bridge/bridge.ts'
import { ERRORS, PolyloopError } from '../../lib/errors.ts'
import type { HttpHandler } from '../../net/handler.ts'
import type { HealthReport } from '../../observe/report.ts'
import type { ServiceContext, StatusSource } from '../service.ts'
import { proxyTargetOf } from './target.ts'

/** How soon a bridge that has never been reached is asked again. */
const REACH_AGAIN_MS = 250

export interface HttpContext extends Pick<ServiceContext<unknown>, 'after'> {
  readonly bridge: Bridge
  readonly status: StatusSource
  /** Open connections of the whole process. */
  readonly connections: () => Promise<number>
}

interface Answer {
  readonly status: number
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

const UNKNOWN: Pick<HealthReport, 'bridge'> = {}
const NOT_FOUND: Answer = { status: 404, body: 'Not found' }
const ID_INVALID: Answer = { status: 400, body: 'Invalid session id' }
const READ_ONLY: Answer = { status: 405, headers: { Allow: 'GET, HEAD' }, body: 'Method not allowed' }
const WEB_SOCKET_ONLY: Answer = { status: 426, headers: { Upgrade: 'websocket', Connection: 'Upgrade' }, body: '' }

export class ProxyHttp {
  readonly #context: HttpContext
  #hasReached = false
  #kind: string | undefined

  constructor(context: HttpContext) {
    this.#context = context
    this.#reach()
  }

  readonly handle: HttpHandler = async (request, response) => {
    const answer = await this.#answer(request)
    send(request, response, answer)
  }

  async #answer({ url = '', method }: IncomingMessage): Promise<Answer> {
    const path = url.split('?', 1)[0]
    const isRead = method === 'GET' || method === 'HEAD'
    if (path === '/health') return isRead ? this.#health() : READ_ONLY
    if (path === '/ready') return isRead ? this.#ready() : READ_ONLY
    const { kind } = proxyTargetOf(url)
    if (kind === 'unknown') return NOT_FOUND
    if (!isRead) return READ_ONLY
    return kind === 'invalid' ? ID_INVALID : WEB_SOCKET_ONLY
  }

  async #health(): Promise<Answer> {
    const { bridge, connections } = this.#context
    try {
      await bridge.ping()
      this.#hasReached = true
      const redis = (await this.#isLocal()) ? 'local' : 'connected'
      return json(200, { status: 'healthy', redis, active_connections: await connections() })
    } catch (error) {
      return json(503, { status: 'unhealthy', redis: 'disconnected', error: textOf(error) })
    }
  }

  /** Main knows, and it stays so. */
  async #isLocal(): Promise<boolean> {
    if (this.#kind === undefined) {
      // Without an answer: asked again next time.
      const { bridge } = await Promise.resolve(this.#context.status.health()).catch(() => UNKNOWN)
      this.#kind = bridge?.kind
    }
    return this.#kind === 'local'
  }

  async #ready(): Promise<Answer> {
    try {
      const readiness = await this.#context.status.readiness()
      const status = readiness === 'ready' && !this.#hasReached ? 'starting' : readiness
      return json(status === 'ready' ? 200 : 503, { status })
    } catch (error) {
      // A process that does not say how it is should not be sent anything.
      return json(503, { status: 'starting', error: textOf(error) })
    }
  }

  /** Until the bridge was there once, nobody should be sent here. */
  #reach(): void {
    this.#context.bridge.ping().then(
      () => {
        this.#hasReached = true
      },
      () => {
        if (!this.#hasReached) this.#context.after(REACH_AGAIN_MS, () => this.#reach())
      },
    )
  }
}

function json(status: number, body: Readonly<Record<string, unknown>>): Answer {
  return { status, type: 'application/json; charset=utf-8', body: JSON.stringify(body) }
}

/** Without the details: the address of the server is nobody's business here. */
function textOf(error: unknown): string {
  return error instanceof PolyloopError ? ERRORS[error.code].text : 'internal error'
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, headers, body }: Answer): void {
  response.writeHead(status, {
    ...headers,
    'Content-Type': type ?? 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
