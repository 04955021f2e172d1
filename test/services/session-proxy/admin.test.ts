import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ABSENT_BRIDGE } from '../../../src/bridge/absent-bridge.ts'
import type { AdminAnswer, AdminJson } from '../../../src/observe/admin-route.ts'
import { SERVICES } from '../../../src/services/registry.ts'
import { adminRoutes } from '../../../src/services/session-proxy/admin.ts'

const ID = { id: 'session' }
const routes = adminRoutes({ bridge: ABSENT_BRIDGE, config: undefined })

function answerOf(method: string, body: string): AdminAnswer | Promise<AdminAnswer> {
  const route = routes.find((one) => one.method === method)
  assert.ok(route !== undefined)
  return route.handle({ parameters: ID, body: Buffer.from(body) })
}

test('docs: ADMIN has every route of a service', () => {
  const page = readFileSync(new URL('../../../docs/ADMIN.md', import.meta.url), 'utf8')
  const all = SERVICES.flatMap((service) => service.adminRoutes?.({ bridge: ABSENT_BRIDGE, config: undefined }) ?? [])
  assert.equal(all.length, 3)
  for (const { method, path } of all) assert.ok(page.includes(`| \`${method} ${path}\` |`), `${method} ${path}`)
})

test('admin routes: what the bridge cannot do is answered with its code', async () => {
  const failure = {
    status: 500,
    body: { error: 'no service and no module was there to need a bridge', code: 'BRIDGE_ABSENT' },
  }
  assert.deepEqual(await answerOf('PUT', '{"token":"x"}'), failure)
  assert.deepEqual(await answerOf('POST', 'x'), failure)
  const stream = await answerOf('GET', '')
  assert.ok('events' in stream)
  const failed = new Promise<AdminJson>((resolve) => {
    stream.events({ begin: () => {}, send: () => {}, fail: resolve })
  })
  assert.deepEqual(await failed, failure)
})
