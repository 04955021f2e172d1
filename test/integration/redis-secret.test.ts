// Ways to a Redis that want something: a certificate, passwords of servers and Sentinels.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { bytes } from '../bridge/bridge-fixture.ts'
import { bridgeTo } from '../bridge/redis-subject.ts'
import { freePort, startRedis, startSentinel } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'

const CERTIFICATE = join(import.meta.dirname, '../harness/certificate/cert.pem')
const KEY = join(import.meta.dirname, '../harness/certificate/key.pem')
const CLIENT = join(import.meta.dirname, 'redis-tls-client.ts')

test('redis: over TLS, and not to a server that nobody vouches for', async () => {
  const port = await freePort()
  const files = [`tls-cert-file ${CERTIFICATE}`, `tls-key-file ${KEY}`, `tls-ca-cert-file ${CERTIFICATE}`]
  await using server = await startRedis({ config: [`tls-port ${port}`, 'tls-auth-clients no', ...files] })
  assert.ok(server.isRunning)
  const url = `rediss://127.0.0.1:${port}`
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: CERTIFICATE }
  const { stdout } = await promisify(execFile)(process.execPath, [CLIENT, url], { env, timeout: 20_000 })
  assert.equal(stdout.trim(), 'over TLS')
  await using stranger = await bridgeTo(url, {}, false)
  await waitUntil('it does not trust the server', () => stranger.figures.problem.includes('self-signed'))
  assert.deepEqual(stranger.loop.states, [])
})

test('redis: Sentinels and servers with passwords of their own', async () => {
  await using setup = await startSentinel({ password: 'of-servers', sentinelPassword: 'of-sentinels' })
  await using subject = await bridgeTo(setup.url)
  await subject.bridge.set({ key: 'k', value: bytes('x') })
  assert.deepEqual(await subject.bridge.get({ key: 'k' }), bytes('x'))
  await using wrong = await bridgeTo(setup.url.replace('=of-sentinels', '=wrong'), {}, false)
  await waitUntil('the Sentinels refuse', () => /unreachable|WRONGPASS|NOAUTH/.test(wrong.figures.problem))
})
