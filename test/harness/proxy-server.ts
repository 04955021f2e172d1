// The session proxy as a process on free ports, with a Redis server of its own or the bridge inside the process; what a
// client does to open a session, and what a refused one is told.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { ProxyBackend } from './proxy-backend.ts'
import { type RedisOptions, type RedisServer, startRedis } from './redis.ts'
import { type Server, type Settings, startServer } from './server.ts'
import { within } from './wait.ts'
import { WebSocketClient } from './web-socket-client.ts'

export const GAP = '{"type":"control","command":"gap"}'
export const UNAVAILABLE = '{"error":"Upstream unavailable"}'
export const TOKEN = 'my-token'
/** A thread more than needed, so that sessions are spread. */
const SHARDS = 2
const HANDSHAKE: Readonly<Record<string, string>> = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

export interface ProxyOptions {
  readonly settings?: Settings
  readonly shards?: number
  readonly environment?: Readonly<Record<string, string>>
  readonly redis?: RedisOptions
  /** Where the proxy finds Redis, if that is not where the backend does. */
  readonly urlOf?: (redis: RedisServer) => string
}

/** What a handshake or a request was answered. 101: the status of one that was accepted. */
export interface Answer {
  readonly status: number
  readonly type: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** Common to both kinds of bridge. */
export class ProxyServer implements AsyncDisposable {
  readonly server: Server

  constructor(server: Server) {
    this.server = server
  }

  /** With `bridge.kind: local`. */
  static async startLocal({ settings = {}, shards = SHARDS }: ProxyOptions = {}): Promise<ProxyServer> {
    return new ProxyServer(await startProxy({ shards, settings: { 'bridge.kind': 'local', ...settings } }))
  }

  url(session: string, agent = 'agent1'): string {
    return this.server.url('session-proxy.ws', `/${agent}/ws/${encodeURIComponent(session)}`)
  }

  /** Opens a session whose token is set. */
  open(session: string, token = TOKEN, maxPayload = 64 * 1024 ** 2): Promise<WebSocketClient> {
    return WebSocketClient.open(this.url(session), { headers: bearer(token), maxPayload })
  }

  /** A handshake; the path goes on the wire as it is. */
  knock(path: string, headers: Readonly<Record<string, string>> = {}, deadlineMs?: number): Promise<Answer> {
    return this.request('GET', path, { ...HANDSHAKE, ...headers }, deadlineMs)
  }

  /** `knock` for a session, with a token. */
  knockAt(session: string, token = TOKEN, deadlineMs?: number): Promise<Answer> {
    return this.knock(`/agent1/ws/${encodeURIComponent(session)}`, bearer(token), deadlineMs)
  }

  request(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    deadlineMs?: number,
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const port = this.server.port('session-proxy.ws')
    const sent = request({ port, host: '127.0.0.1', method, path, headers, agent: false })
    sent.on('upgrade', ({ headers }, socket) => {
      socket.destroy()
      resolve({ status: 101, type: undefined, headers, body: '' })
    })
    sent.on('response', (response) => {
      const { statusCode = 0, headers } = response
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve({ status: statusCode, type: headers['content-type'], headers, body }))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end()
    return within(`an answer to ${method} ${path}`, promise, deadlineMs)
  }

  /** Open connections by /health, as long as it is healthy. */
  async activeConnections(): Promise<number> {
    const { status, body } = await this.request('GET', '/health')
    assert.equal(status, 200, body)
    return (JSON.parse(body) as { readonly active_connections: number }).active_connections
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}

/** The proxy of one Redis server, and a backend at the same server. */
export class RedisProxy extends ProxyServer {
  readonly redis: RedisServer
  readonly backend: ProxyBackend

  constructor(server: Server, redis: RedisServer, backend: ProxyBackend) {
    super(server)
    this.redis = redis
    this.backend = backend
  }

  static async start(options: ProxyOptions = {}): Promise<RedisProxy> {
    const { settings = {}, shards = SHARDS, environment = {}, urlOf = ({ url }) => url } = options
    await using stack = new AsyncDisposableStack()
    const redis = stack.use(await startRedis(options.redis))
    const backend = stack.use(await ProxyBackend.connect(redis.url))
    const server = await startProxy({
      shards,
      settings: { 'bridge.redis.url': urlOf(redis), ...settings },
      environment,
    })
    stack.move()
    return new RedisProxy(server, redis, backend)
  }

  /** Sets the token and opens. */
  async enter(session: string): Promise<WebSocketClient> {
    await this.backend.setToken(session, TOKEN)
    return this.open(session)
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]()
    await this.backend[Symbol.asyncDispose]()
    await this.redis[Symbol.asyncDispose]()
  }
}

export function bearer(token: string): Readonly<Record<string, string>> {
  return { Authorization: `Bearer ${token}` }
}

/** The refusals of PROTOCOLS 5.1 have this form. */
export function assertRefused(answer: Answer, status: number, body: string): void {
  assert.deepEqual([answer.status, answer.body], [status, body])
  assert.match(answer.type ?? '', /^text\/plain\b/)
}

/** The next message, which must be text. */
export async function nextText(client: WebSocketClient, deadlineMs?: number): Promise<string | undefined> {
  const message = await client.next(deadlineMs)
  assert.notEqual(message?.isBinary, true)
  return message?.data.toString()
}

/** The next message that is no gap notice: how many of these come, and when, is not for every test to say. */
export async function nextData(client: WebSocketClient, deadlineMs?: number): Promise<string | undefined> {
  for (;;) {
    const text = await nextText(client, deadlineMs)
    if (text !== GAP) return text
  }
}

interface StartOptions {
  readonly shards: number
  readonly settings: Settings
  readonly environment?: Readonly<Record<string, string>>
}

function startProxy({ shards, settings, environment = {} }: StartOptions): Promise<Server> {
  return startServer({
    shards,
    services: ['session-proxy'],
    settings,
    environment,
  })
}
