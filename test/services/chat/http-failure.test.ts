// What chat's HTTP API says when the store or an actor does not do what it is asked for, and what of it is logged.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PolyloopError } from '../../../src/lib/errors.ts'
import type { HealthReport, Readiness } from '../../../src/observe/report.ts'
import { startHttpWorld } from './http-world.ts'

const FULL = { ok: false, code: 'STORE_FULL', problem: 'database or disk is full' } as const

function failure(message: string): string {
  return `{"success":false,"message":"${message}","data":null}`
}

test('http failure: a full store refuses writes with the texts of the routes, serves reads, and recovers', async () => {
  const world = await startHttpWorld()
  await world.post('/api/chats/1/messages', { content: 'before' })
  world.failure = { of: 'writes', outcome: FULL }
  for (const [url, body, message] of [
    ['/api/chats/1/messages', { content: 'x' }, 'Ошибка при отправке сообщения'],
    ['/api/chats', { name: 'x' }, 'Ошибка при создании чата'],
    ['/api/users', { username: 'x' }, 'Ошибка БД: database or disk is full'],
  ] as const) {
    const answer = await world.post(url, body)
    assert.deepEqual([answer.statusCode, answer.body], [500, failure(message)])
  }
  const { pagination } = (await world.get('/api/chats/1/messages')).json<{ pagination: { total: number } }>()
  assert.equal(pagination.total, 1)
  const lines = world.logged.filter(({ event }) => event === 'chat.http_failed')
  assert.deepEqual(
    lines.map(({ method, route }) => `${method} ${route}`),
    ['POST /api/chats/:id/messages', 'POST /api/chats', 'POST /api/users'],
  )
  assert.match(String(lines[0]?.error), /database or disk is full/)
  world.failure = undefined
  assert.equal((await world.post('/api/chats/1/messages', { content: 'x' })).body.includes('"id":2'), true)
})

test('http failure: reads say what the store said', async () => {
  const world = await startHttpWorld()
  world.failure = { of: 'all', outcome: { ok: false, code: 'STORE_LOCKED', problem: 'database is locked' } }
  for (const url of ['/api/chats', '/api/chats/1', '/api/chats/1/messages', '/api/chats/1/typing']) {
    const answer = await world.get(url)
    assert.deepEqual([answer.statusCode, answer.body], [500, failure('Ошибка БД: database is locked')], url)
  }
  assert.equal((await world.get('/api/presence')).statusCode, 200, 'it is in memory')
})

test('http failure: a broken body does not end the connection, one too large does', async () => {
  const world = await startHttpWorld()
  assert.notEqual((await world.post('/api/users', '{bad')).headers.connection, 'close')
  assert.equal((await world.post('/api/users', ' '.repeat(2 * 1024 * 1024 + 1))).headers.connection, 'close')
})

test('http failure: health and readiness as the process has them', async () => {
  let health = { status: 'healthy', uptime_seconds: 1 } as HealthReport
  let readiness: Readiness = 'ready'
  let isLost = false
  const told = <T>(value: T): Promise<T> =>
    isLost ? Promise.reject(new PolyloopError('CONTROL_TIMEOUT')) : Promise.resolve(value)
  const status = { health: () => told(health), readiness: () => told(readiness), metrics: () => told('') }
  const world = await startHttpWorld({ auth: 'jwt', rateLimit: { rate: 1, burst: 1 } }, status)
  const statusOf = async (url: string): Promise<[number, string]> => {
    const { statusCode, body } = await world.get(url)
    return [statusCode, body]
  }
  assert.deepEqual(await statusOf('/health'), [200, '{"status":"healthy","uptime_seconds":1}'])
  assert.deepEqual(await statusOf('/ready'), [200, '{"status":"ready"}'])
  health = { ...health, status: 'degraded' }
  readiness = 'draining'
  assert.deepEqual(await statusOf('/health'), [200, '{"status":"degraded","uptime_seconds":1}'])
  assert.deepEqual(await statusOf('/ready'), [503, '{"status":"draining"}'])
  health = { ...health, status: 'unhealthy' }
  assert.deepEqual(await statusOf('/health'), [503, '{"status":"unhealthy","uptime_seconds":1}'])
  isLost = true
  const lost = failure('a thread did not answer a control call in time')
  assert.deepEqual(await statusOf('/health'), [503, lost])
  assert.deepEqual(await statusOf('/ready'), [503, lost])
})
