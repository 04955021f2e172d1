import assert from 'node:assert/strict'
import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { networkInterfaces } from 'node:os'
import { type TestContext, test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { THREAD, threadOfSeat } from '../../src/lib/thread.ts'
import { NO_ACTORS } from '../../src/observe/actor-report.ts'
import {
  type ActionOutcome,
  type AdminServer,
  type AdminView,
  createAdminServer,
} from '../../src/observe/admin-server.ts'
import { Exposition } from '../../src/observe/exposition.ts'
import { countOpened, FigureTable } from '../../src/observe/figure.ts'
import { createLogger } from '../../src/observe/logger.ts'
import type { Readiness } from '../../src/observe/report.ts'
import { Status } from '../../src/observe/status.ts'

const HAS_IPV6 = Object.values(networkInterfaces()).some((entries) => entries?.some(({ address }) => address === '::1'))
const JSON_TYPE = { 'content-type': 'application/json' }

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

interface Subject {
  readonly server: AdminServer
  readonly table: FigureTable
  readonly lines: string[]
  readonly calls: string[]
  readiness: Readiness
  ask(method: string, path: string, headers?: Readonly<Record<string, string>>, body?: string): Promise<Answer>
}

async function subject(
  context: TestContext,
  options: { host?: string; token?: string; view?: Partial<AdminView> } = {},
): Promise<Subject> {
  const table = FigureTable.allocate()
  const clock = new ManualClock()
  const calls: string[] = []
  const lines: string[] = []
  for (const thread of [THREAD.main, THREAD.acceptor, threadOfSeat(0), threadOfSeat(1)]) {
    table.begin(thread)
    table.setState(thread, 'ready')
  }
  const state = { readiness: 'ready' as Readiness }
  const listeners = [{ service: 'echo', transport: 'tcp', host: '127.0.0.1', port: 8084 }] as const
  const services = ['echo', 'chat']
  const status = new Status({
    table,
    services,
    version: '1.2.3',
    clock,
    readiness: () => state.readiness,
    listeners: () => listeners,
  })
  const exposition = new Exposition({ table, services, version: '1.2.3', sources: () => [] })
  const view: AdminView = {
    health: () => status.health(),
    readiness: () => state.readiness,
    runtime: () => status.runtime(),
    metrics: () => exposition.text(),
    restart: (shard): ActionOutcome => {
      calls.push(`restart ${shard}`)
      return shard < 2 ? 'accepted' : 'unknown_shard'
    },
    drain: () => {
      calls.push('drain')
      return 'accepted'
    },
    reload: () => 'refused',
    shards: () => 'refused',
    migrate: () => 'refused',
    actors: () => Promise.resolve(NO_ACTORS),
    ...options.view,
  }
  const log = createLogger({ level: 'info', write: (line) => lines.push(line), base: { thread: 'main' } })
  const { host = '127.0.0.1', token } = options
  const server = await createAdminServer({
    host,
    port: 0,
    allowedHosts: [],
    log,
    view,
    ...(token === undefined ? {} : { token }),
  })
  context.after(() => server.close())
  const port = server.addresses[0]?.port ?? 0
  const ask: Subject['ask'] = (method, path, headers = {}, body) => ask1({ port, method, path, headers, body })
  return Object.assign(state, { server, table, lines, calls, ask })
}

async function ask1(to: {
  host?: string
  port: number
  method: string
  path: string
  headers: Readonly<Record<string, string>>
  body: string | undefined
}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const { host = '127.0.0.1', body, ...target } = to
  const request = httpRequest({ host, ...target, agent: false }, (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => {
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(chunks).toString(),
      })
    })
  })
  request.on('error', reject)
  request.end(body)
  return promise
}

test('admin server: metrics come as text 0.0.4', async (context) => {
  const { ask } = await subject(context)
  const { status, headers, body } = await ask('GET', '/metrics')
  assert.equal(status, 200)
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  assert.match(body, /^polyloop_shard_up\{shard="0"\} 1$/m)
})

test('admin server: health names services, shards and listeners, and says how bad it is', async (context) => {
  const { ask, table } = await subject(context)
  countOpened(table.row(threadOfSeat(1)), 0)
  const healthy = await ask('GET', '/health')
  assert.equal(healthy.status, 200)
  assert.deepEqual(JSON.parse(healthy.body), {
    status: 'healthy',
    uptime_seconds: 0,
    version: '1.2.3',
    services: { echo: { status: 'healthy', connections: 1 }, chat: { status: 'healthy', connections: 0 } },
    shards: [
      { id: 0, state: 'ready', connections: 0 },
      { id: 1, state: 'ready', connections: 1 },
    ],
    listeners: [{ service: 'echo', transport: 'tcp', host: '127.0.0.1', port: 8084 }],
  })
  table.setState(threadOfSeat(1), 'hung')
  const degraded = await ask('GET', '/health')
  assert.equal(degraded.status, 200)
  assert.match(degraded.body, /^\{"status":"degraded",/)
  table.setState(threadOfSeat(0), 'dead')
  const unhealthy = await ask('GET', '/health')
  assert.equal(unhealthy.status, 503)
  assert.match(unhealthy.body, /^\{"status":"unhealthy",/)
})

test('admin server: ready is 200 only between start and drain', async (context) => {
  const server = await subject(context)
  for (const [readiness, wanted] of [
    ['starting', 503],
    ['ready', 200],
    ['draining', 503],
  ] as const) {
    server.readiness = readiness
    const { status, body } = await server.ask('GET', '/ready')
    assert.deepEqual([status, body], [wanted, `{"status":"${readiness}"}`])
  }
})

test('admin server: HEAD works where GET does, without a body', async (context) => {
  const { ask } = await subject(context)
  for (const path of ['/metrics', '/health', '/ready', '/api/v1/runtime']) {
    const { status, headers, body } = await ask('HEAD', path)
    assert.deepEqual([status, body], [200, ''], path)
    assert.ok(Number(headers['content-length']) > 0, path)
  }
})

test('admin server: unknown paths are 404, other methods 405 with Allow', async (context) => {
  const { ask } = await subject(context)
  for (const path of ['/nothing', '/api/v1/shards/0/restart/x', '/api/v1/shards//restart', '/metrics/']) {
    assert.equal((await ask('GET', path)).status, 404, path)
  }
  for (const [method, path, allow] of [
    ['POST', '/metrics', 'GET, HEAD'],
    ['DELETE', '/health', 'GET, HEAD'],
    ['PROPFIND', '/health', 'GET, HEAD'],
    ['OPTIONS', '/ready?x', 'GET, HEAD'],
    ['GET', '/api/v1/drain', 'POST'],
    ['HEAD', '/api/v1/shards/0/restart', 'POST'],
  ] as const) {
    const { status, headers } = await ask(method, path, JSON_TYPE)
    assert.deepEqual([status, headers.allow], [405, allow], `${method} ${path}`)
  }
})

test('admin server: controls reach the view, and its outcome is the status', async (context) => {
  const { ask, calls } = await subject(context, { view: { drain: () => 'refused' } })
  assert.deepEqual((await ask('POST', '/api/v1/shards/1/restart', JSON_TYPE)).status, 202)
  assert.deepEqual((await ask('POST', '/api/v1/shards/0/restart', JSON_TYPE, '{}')).body, '{"status":"accepted"}')
  assert.equal((await ask('POST', '/api/v1/shards/9/restart', JSON_TYPE)).status, 404)
  assert.equal((await ask('POST', '/api/v1/shards/-1/restart', JSON_TYPE)).status, 404)
  assert.equal((await ask('POST', '/api/v1/drain', JSON_TYPE)).status, 409)
  assert.deepEqual(calls, ['restart 1', 'restart 0', 'restart 9'])
})

test('admin server: moves reach the view with their numbers, and a refusal says why', async (context) => {
  const asked: unknown[] = []
  const { ask } = await subject(context, {
    view: {
      reload: () => ({ outcome: 'refused', reason: 'restart needed: the layout changed' }),
      shards: (count) => {
        asked.push(count)
        return 'accepted'
      },
      migrate: (shard, order) => {
        asked.push([shard, order])
        return Promise.resolve(order.to === 1 ? 'accepted' : { outcome: 'unknown_shard' })
      },
    },
  })
  const reload = await ask('POST', '/api/v1/reload', JSON_TYPE)
  assert.deepEqual(
    [reload.status, reload.body],
    [409, '{"status":"refused","reason":"restart needed: the layout changed"}'],
  )
  const shards = await ask('POST', '/api/v1/shards', JSON_TYPE, '{"count":64}')
  assert.deepEqual([shards.status, shards.body], [202, '{"status":"accepted"}'])
  const path = '/api/v1/shards/0/migrate'
  assert.equal((await ask('POST', path, JSON_TYPE, '{"connections":5,"to":1}')).status, 202)
  assert.equal((await ask('POST', path, JSON_TYPE, '{"connections":5,"to":9}')).status, 404)
  assert.deepEqual(asked, [64, [0, { connections: 5, to: 1 }], [0, { connections: 5, to: 9 }]])
})

test('admin server: a move that makes no sense is 400 and reaches nobody', async (context) => {
  const asked: unknown[] = []
  const note = (...given: unknown[]): 'accepted' => {
    asked.push(given)
    return 'accepted'
  }
  const { ask } = await subject(context, { view: { shards: note, migrate: note } })
  for (const body of ['', '{}', '[]', 'null', '4', ...[0, 65, 1.5, -1, '"4"', 'null'].map((n) => `{"count":${n}}`)]) {
    const { status, body: text } = await ask('POST', '/api/v1/shards', JSON_TYPE, body)
    assert.deepEqual([status, text], [400, '{"error":"count is 1 to 64"}'], body)
  }
  for (const [connections, to] of [
    [0, 1],
    [-1, 1],
    [1.5, 1],
    ['"5"', 1],
    [null, 1],
    [5, 0],
    [5, -1],
    [5, 64],
    [5, 0.5],
    [5, '"1"'],
    [5, null],
  ]) {
    const body = `{"connections":${connections},"to":${to}}`
    assert.equal((await ask('POST', '/api/v1/shards/0/migrate', JSON_TYPE, body)).status, 400, body)
  }
  assert.equal((await ask('POST', '/api/v1/shards/x/migrate', JSON_TYPE, '{"connections":5,"to":1}')).status, 404)
  assert.deepEqual(asked, [])
})

test('admin server: actors come as the view has them', async (context) => {
  const { ask } = await subject(context, { view: { actors: () => Promise.resolve(NO_ACTORS) } })
  const { status, body } = await ask('GET', '/api/v1/actors')
  assert.deepEqual([status, JSON.parse(body)], [200, NO_ACTORS])
})

test('admin server: a refused request does nothing, and is logged without its secrets', async (context) => {
  const { ask, calls, lines } = await subject(context, { token: 'hunter2-token' })
  const path = '/api/v1/drain'
  const good = { ...JSON_TYPE, authorization: 'Bearer hunter2-token' }
  assert.equal((await ask('POST', path, { ...good, host: 'evil.example' })).status, 403)
  assert.equal((await ask('POST', path, { ...good, origin: 'http://evil.example' })).status, 403)
  const anonymous = await ask('POST', path, { ...JSON_TYPE, authorization: 'Bearer hunter2-wrong' })
  assert.equal(anonymous.status, 401)
  assert.match(String(anonymous.headers['www-authenticate']), /Bearer .*Basic /)
  assert.equal((await ask('GET', '/unknown')).status, 401, 'paths are not told to strangers')
  assert.equal((await ask('POST', path, { ...good, 'content-type': 'text/plain' }, '{}')).status, 415)
  assert.equal((await ask('POST', path, good, '{')).status, 400)
  assert.equal((await ask('POST', path, good, JSON.stringify('x'.repeat(16 * 1024)))).status, 413)
  assert.deepEqual(calls, [])
  assert.equal((await ask('POST', path, good)).status, 202)
  assert.deepEqual(calls, ['drain'])
  assert.equal((await ask('GET', '/ready')).status, 200, 'probes need no token')
  assert.ok(lines.some((line) => line.includes('observe.admin_refused')))
  assert.ok(!lines.join('').includes('hunter2'))
})

test('admin server: a view that fails is logged and answered without its message', async (context) => {
  const { ask, lines } = await subject(context, {
    view: {
      metrics: () => Promise.reject(new Error('inner secret')),
      restart: () => Promise.reject(new PolyloopError('CONTROL_TIMEOUT', { shard: 0 })),
    },
  })
  const failed = await ask('GET', '/metrics')
  assert.deepEqual([failed.status, failed.body], [500, '{"error":"internal error"}'])
  const late = await ask('POST', '/api/v1/shards/0/restart', JSON_TYPE)
  assert.deepEqual([late.status, late.body], [503, '{"error":"CONTROL_TIMEOUT"}'])
  assert.ok(lines.some((line) => line.includes('inner secret')))
})

test('admin server: a profile is a file, bounded in time, one at a time', async (context) => {
  const begun = Promise.withResolvers<void>()
  const profile = Promise.withResolvers<string | undefined>()
  const seconds: number[] = []
  const { ask } = await subject(context, {
    view: {
      profile: (shard, length) => {
        seconds.push(length)
        begun.resolve()
        return shard === 0 ? profile.promise : Promise.resolve(undefined)
      },
    },
  })
  const path = '/api/v1/shards/0/profile'
  for (const bad of ['0', '61', 'x', '', '-1']) {
    assert.equal((await ask('POST', `${path}?seconds=${bad}`, JSON_TYPE)).status, 400, bad)
  }
  const first = ask('POST', path, JSON_TYPE)
  await begun.promise
  assert.equal((await ask('POST', path, JSON_TYPE)).status, 409)
  profile.resolve('{"nodes":[]}')
  const { status, headers, body } = await first
  assert.deepEqual([status, body], [200, '{"nodes":[]}'])
  assert.equal(headers['content-disposition'], 'attachment; filename="shard-0.cpuprofile"')
  assert.equal((await ask('POST', '/api/v1/shards/7/profile?seconds=60', JSON_TYPE)).status, 404)
  assert.deepEqual(seconds, [5, 60])
})

test('admin server: without a profiler there is no such path', async (context) => {
  const { ask } = await subject(context)
  assert.equal((await ask('POST', '/api/v1/shards/0/profile', JSON_TYPE)).status, 404)
})

test('admin server: localhost is 127.0.0.1 and ::1 on one port', { skip: !HAS_IPV6 && 'no IPv6' }, async (context) => {
  const { server } = await subject(context, { host: 'localhost' })
  assert.deepEqual(
    server.addresses.map(({ host }) => host),
    ['127.0.0.1', '::1'],
  )
  assert.equal(new Set(server.addresses.map(({ port }) => port)).size, 1)
  for (const { host, port } of server.addresses) {
    const { status } = await ask1({ host, port, method: 'GET', path: '/ready', headers: {}, body: undefined })
    assert.equal(status, 200, host)
  }
})

test('admin server: a taken port fails with LISTEN_FAILED', async (context) => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  context.after(() => taken.close())
  const { port } = taken.address() as { port: number }
  const log = createLogger({ level: 'silent', write: () => {}, base: { thread: 'main' } })
  for (const host of ['localhost', '127.0.0.1']) {
    await assert.rejects(createAdminServer({ host, port, allowedHosts: [], log, view: {} as AdminView }), (error) => {
      assert.ok(error instanceof PolyloopError)
      assert.equal(error.code, 'LISTEN_FAILED')
      assert.deepEqual([error.details.port, error.details.code], [port, 'EADDRINUSE'])
      return true
    })
  }
})

test('admin server: closing it frees the port while a client keeps its connection', async (context) => {
  const { server, ask } = await subject(context)
  await ask('GET', '/ready', { connection: 'keep-alive' })
  await server.close()
  await assert.rejects(ask('GET', '/ready'), { code: 'ECONNREFUSED' })
})
