// The admin endpoint of main: metrics, health, readiness, runtime report, and the controls of operators. What it shows
// and controls is handed in. [PROTOCOLS 7]
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { PolyloopError } from '../lib/errors.ts'
import { SHARDS_MAX } from '../lib/thread.ts'
import type { ActorsReport } from './actor-report.ts'
import { type AccessRules, refusalOf } from './admin-access.ts'
import type { AdminRoute } from './admin-route.ts'
import { loadDashboard, PAGE_POLICY, type PageFile } from './dashboard.ts'
import { EXPOSITION_CONTENT_TYPE } from './exposition.ts'
import { type ListenAddress, openHttpListeners } from './http-listener.ts'
import { errorFields, type Logger } from './logger.ts'
import type { HealthReport, Readiness, RuntimeReport } from './report.ts'
import { addServiceRoutes, BODY_BYTES_MAX } from './service-route.ts'

/** `accepted`: it will happen, and shows in the runtime report. `refused`: not in the present state. */
export type ActionOutcome = 'accepted' | 'unknown_shard' | 'refused'
/** An outcome, and why it is so. */
export interface ActionAnswer {
  readonly outcome: ActionOutcome
  readonly reason?: string | undefined
}
type Answered = ActionOutcome | ActionAnswer | Promise<ActionOutcome | ActionAnswer>

/** So many connections of a shard are to go to the shard `to`. */
export interface MigrateOrder {
  readonly connections: number
  readonly to: number
}

export interface AdminView {
  health(): HealthReport
  readiness(): Readiness
  runtime(): RuntimeReport
  metrics(): Promise<string>
  restart(shard: number): Answered
  drain(): Answered
  /** New threads with new code and configuration take over everything from the old ones. */
  reload(): Answered
  /** The number of shards is to become `count`, 1 to SHARDS_MAX. */
  shards(count: number): Answered
  migrate(shard: number, order: MigrateOrder): Answered
  actors(): Promise<ActorsReport>
  /** A CPU profile of the shard, as the JSON of a .cpuprofile file; undefined if there is no such shard. */
  profile?(shard: number, seconds: number): Promise<string | undefined>
}

export interface AdminServerOptions {
  /** An address, or `localhost` for 127.0.0.1 and ::1. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly token?: string
  /** Names that Host may carry besides loopback names and addresses. */
  readonly allowedHosts: readonly string[]
  readonly log: Logger
  readonly view: AdminView
  /** Those of services. */
  readonly routes?: readonly AdminRoute[]
  /** A request that may have changed something was answered. Must not throw. */
  readonly onAction?: (action: { readonly route: string; readonly status: number; readonly durationMs: number }) => void
}

export interface AdminServer {
  readonly addresses: readonly ListenAddress[]
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export const PROFILE_SECONDS_MAX = 60
const PROFILE_SECONDS_DEFAULT = 5
/** Of a path parameter, as it is sent: an id of 256 bytes, escaped. */
const PARAMETER_LENGTH_MAX = 3 * 256
const REFUSALS_LOGGED_PER_SECOND = 1
const LOOPBACK_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '::1']

const STATUS_OF_OUTCOME = { accepted: 202, unknown_shard: 404, refused: 409 } as const satisfies Record<
  ActionOutcome,
  number
>

type Body = Readonly<Record<string, unknown>>
type ShardRequest = FastifyRequest<{ Params: { id: string } }>

/** Fails with LISTEN_FAILED. */
export async function createAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { host, log, view } = options
  const app = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
    // Paths that cannot be decoded.
    frameworkErrors: (error, _request, reply) => answer(reply as FastifyReply, 400, { error: error.message }),
  })
  const methodsOf = watchRoutes(app)
  guard(app, { hosts: options.allowedHosts, token: options.token }, log)
  tellActions(app, options.onAction ?? (() => {}))
  addDashboard(app)
  addPages(app, view)
  addControls(app, view)
  addMoves(app, view)
  await addServiceRoutes(app, options.routes ?? [])
  app.setNotFoundHandler((request, reply) => {
    const methods = methodsOf(pathOf(request))
    if (methods.length === 0) return answer(reply, 404, { error: 'not found' })
    reply.header('allow', methods.join(', '))
    return answer(reply, 405, { error: 'method not allowed' })
  })
  await app.ready()
  const listeners = await openHttpListeners(host, options.port, (request, response) => app.routing(request, response))
  for (const address of listeners.addresses) log.info('observe.admin_listening', { ...address })
  if (options.token === undefined && !LOOPBACK_HOSTS.includes(host)) log.warn('observe.admin_without_token', { host })
  const close = async (): Promise<void> => {
    await listeners.close()
    await app.close()
  }
  return { addresses: listeners.addresses, close, [Symbol.asyncDispose]: close }
}

function guard(app: FastifyInstance, rules: AccessRules, log: Logger): void {
  const refused = log.limited('observe.admin_refused', REFUSALS_LOGGED_PER_SECOND)
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    const { method, headers } = request
    const refusal = refusalOf({ method, path: pathOf(request), headers }, rules)
    if (refusal === undefined) return
    refused.warn({ status: refusal.status, remote: request.ip, reason: refusal.error })
    if (refusal.status === 401) {
      reply.header('www-authenticate', ['Bearer realm="polyloop"', 'Basic realm="polyloop", charset="UTF-8"'])
    }
    return answer(reply, refusal.status, { error: refusal.error })
  })
  // An action without arguments may come without a body; Fastify's own parser refuses an empty one.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    const text = body.toString()
    try {
      done(null, text === '' ? {} : JSON.parse(text))
    } catch {
      done(Object.assign(new Error('the body is not JSON'), { statusCode: 400 }))
    }
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? (error instanceof PolyloopError && error.retryable ? 503 : 500)
    if (status < 500) return answer(reply, status, { error: error.message })
    log.error('observe.admin_failed', errorFields(error))
    return answer(reply, status, { error: error instanceof PolyloopError ? error.code : 'internal error' })
  })
}

function tellActions(app: FastifyInstance, told: NonNullable<AdminServerOptions['onAction']>): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions } = request
    const isRead = method === 'GET' || method === 'HEAD'
    if (!isRead && routeOptions.url !== undefined)
      told({ route: `${method} ${routeOptions.url}`, status: reply.statusCode, durationMs: reply.elapsedTime })
    done()
  })
}

function addDashboard(app: FastifyInstance): void {
  const { page, parts } = loadDashboard()
  const send = (reply: FastifyReply, { type, bytes }: PageFile): FastifyReply =>
    reply.header('content-security-policy', PAGE_POLICY).header('referrer-policy', 'no-referrer').type(type).send(bytes)
  app.get('/', (_request, reply) => send(reply, page))
  app.get('/dashboard', (_request, reply) => send(reply, page))
  app.get('/dashboard/:part', (request: FastifyRequest<{ Params: { part: string } }>, reply) => {
    const part = parts.get(request.params.part)
    return part === undefined ? answer(reply, 404, { error: 'not found' }) : send(reply, part)
  })
}

function addPages(app: FastifyInstance, view: AdminView): void {
  app.get('/metrics', async (_request, reply) => reply.type(EXPOSITION_CONTENT_TYPE).send(await view.metrics()))
  app.get('/health', (_request, reply) => {
    const health = view.health()
    return answer(reply, health.status === 'unhealthy' ? 503 : 200, health)
  })
  app.get('/ready', (_request, reply) => {
    const status = view.readiness()
    return answer(reply, status === 'ready' ? 200 : 503, { status })
  })
  app.get('/api/v1/runtime', (_request, reply) => answer(reply, 200, view.runtime()))
  app.get('/api/v1/actors', async (_request, reply) => answer(reply, 200, await view.actors()))
}

function addMoves(app: FastifyInstance, view: AdminView): void {
  app.post('/api/v1/reload', async (_request, reply) => outcome(reply, await view.reload()))
  app.post('/api/v1/shards', async (request, reply) => {
    const count = integerOf(request.body, 'count', 1, SHARDS_MAX)
    if (count === undefined) return answer(reply, 400, { error: `count is 1 to ${SHARDS_MAX}` })
    return outcome(reply, await view.shards(count))
  })
  app.post('/api/v1/shards/:id/migrate', async (request: ShardRequest, reply) => {
    const shard = shardOf(request)
    const connections = integerOf(request.body, 'connections', 1, Number.MAX_SAFE_INTEGER)
    const to = integerOf(request.body, 'to', 0, SHARDS_MAX - 1)
    if (shard === undefined) return outcome(reply, 'unknown_shard')
    if (connections === undefined) return answer(reply, 400, { error: 'connections is 1 or more' })
    if (to === undefined || to === shard) return answer(reply, 400, { error: 'to is the number of another shard' })
    return outcome(reply, await view.migrate(shard, { connections, to }))
  })
}

function addControls(app: FastifyInstance, view: AdminView): void {
  app.post('/api/v1/drain', async (_request, reply) => outcome(reply, await view.drain()))
  app.post('/api/v1/shards/:id/restart', async (request: ShardRequest, reply) => {
    const shard = shardOf(request)
    return outcome(reply, shard === undefined ? 'unknown_shard' : await view.restart(shard))
  })
  const { profile } = view
  if (profile === undefined) return
  const profiled = new Set<number>()
  app.post('/api/v1/shards/:id/profile', async (request: ShardRequest, reply) => {
    const shard = shardOf(request)
    const seconds = secondsOf(request)
    if (shard === undefined) return outcome(reply, 'unknown_shard')
    if (seconds === undefined) return answer(reply, 400, { error: `seconds is 1 to ${PROFILE_SECONDS_MAX}` })
    if (profiled.has(shard)) return outcome(reply, 'refused')
    profiled.add(shard)
    try {
      const text = await profile.call(view, shard, seconds)
      if (text === undefined) return outcome(reply, 'unknown_shard')
      reply.header('content-disposition', `attachment; filename="shard-${shard}.cpuprofile"`)
      return reply.type('application/json; charset=utf-8').send(text)
    } finally {
      profiled.delete(shard)
    }
  })
}

// Fastify answers 404 where the path exists with another method; this knows the methods of a path.
function watchRoutes(app: FastifyInstance): (path: string) => string[] {
  const routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = []
  app.addHook('onRoute', ({ url, method }) => {
    routes.push({ pattern: new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`), methods: [method].flat() })
  })
  return (path) => {
    const methods = routes.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods)
    return [...new Set(methods)].sort()
  }
}

function shardOf(request: ShardRequest): number | undefined {
  return /^\d{1,3}$/.test(request.params.id) ? Number(request.params.id) : undefined
}

/** A member of the body, if it is an integer within the bounds. */
function integerOf(body: unknown, name: string, min: number, max: number): number | undefined {
  const value = (body as Body | null | undefined)?.[name]
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined
}

function secondsOf(request: FastifyRequest): number | undefined {
  const { seconds } = request.query as { readonly seconds?: unknown }
  const value = seconds === undefined ? PROFILE_SECONDS_DEFAULT : Number(seconds)
  return value >= 1 && value <= PROFILE_SECONDS_MAX ? value : undefined
}

function outcome(reply: FastifyReply, given: ActionOutcome | ActionAnswer): FastifyReply {
  const { outcome: status, reason } = typeof given === 'string' ? { outcome: given, reason: undefined } : given
  return answer(reply, STATUS_OF_OUTCOME[status], reason === undefined ? { status } : { status, reason })
}

type Report = HealthReport | RuntimeReport | ActorsReport

function answer(reply: FastifyReply, status: number, body: Body | Report): FastifyReply {
  return reply.code(status).type('application/json; charset=utf-8').send(JSON.stringify(body))
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? ''
}
