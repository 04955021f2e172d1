// What a reload cannot move, what arrives while it runs, what it brings, and when it is refused.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import { LineClient, openSocket } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const HARNESS = join(import.meta.dirname, '../harness')
const CERTIFICATE = { cert: join(HARNESS, 'certificate/cert.pem'), key: join(HARNESS, 'certificate/key.pem') }
const INDEX = new URL('../../src/index.ts', import.meta.url).href
const GRACE_MS = 4_000

let folder: string
let module: string
let file: string
let server: Server

/** The module of the moving service, in a version of its own, where it can be changed. */
function writeModule(version: string): void {
  const text = readFileSync(join(HARNESS, 'moving-service.ts'), 'utf8')
  const changed = text
    .replace("'../../src/index.ts'", `'${INDEX}'`)
    .replace("VERSION = 'first'", `VERSION = '${version}'`)
  assert.notEqual(changed, text)
  writeFileSync(module, changed)
}

function writeConfig(extra: object = {}): void {
  const config = {
    shards: 2,
    modules: [module, join(HARNESS, 'fault-service.ts')],
    reload: { grace: `${GRACE_MS}ms` },
    services: {
      echo: { tcp: { port: 0 }, udp: { port: 0 }, ws: { port: 0, tls: CERTIFICATE }, idleTimeout: '40s' },
      moving: { tcp: { port: 0 }, ws: { port: 0 } },
      fault: { tcp: { port: 0 }, ws: { port: 0 } },
    },
    ...extra,
  }
  writeFileSync(file, JSON.stringify(config))
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'polyloop-reload-'))
  module = join(folder, 'moving.ts')
  file = join(folder, 'config.yaml')
  writeModule('first')
  writeConfig()
  server = await startServer({ config: file })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
  assert.deepEqual(server.stray, [])
})

/** Reloads and waits until nothing that can move is left. */
async function reload(): Promise<void> {
  const done = server.logged('runtime.move_done').length
  const answer = await server.post('/api/v1/reload')
  assert.equal(answer.status, 202, await answer.text())
  await waitUntil('the reload is done', () => server.logged('runtime.move_done').length > done, 30_000)
}

function openMoving(session: string): Promise<WebSocketClient> {
  return WebSocketClient.open(server.url('moving.ws', `/?session=${session}`))
}

test('reload: brings new code, for connections that were open before too', async () => {
  using client = await openMoving('version')
  assert.equal(await client.ask('version'), 'first')
  writeModule('second')
  assert.equal(await client.ask('version'), 'first')
  server.signal('SIGHUP')
  await waitUntil('SIGHUP reloads', () => server.logged('runtime.move_done').length > 0, 30_000)
  assert.equal(await client.ask('version'), 'second')
})

test('reload: keeps accepting, TCP and UDP, and what is half-said goes on', async (context) => {
  let stopped = false
  let served = 0
  // Whatever fails below, they come to an end.
  context.after(() => {
    stopped = true
  })
  const comers = Array.from({ length: 4 }, async (_, index) => {
    while (!stopped) {
      const hello = `hello ${index} ${served}`
      using client = await openMoving(`comer-${hello.replaceAll(' ', '-')}`)
      assert.equal(await client.ask(hello), hello)
      served++
    }
  })
  const datagrams = createSocket('udp4')
  context.after(() => datagrams.close())
  let returned = 0
  let sent = 0
  datagrams.on('message', () => void returned++)
  const talking = setInterval(() => !stopped && datagrams.send(`${sent++}`, server.port('echo.udp'), '127.0.0.1'), 5)
  const half = await openSocket({ port: server.port('moving.ws') })
  half.write('GET /?session=half HTTP/1.1\r\nHost: x\r\n')
  const lines = await LineClient.open({ port: server.port('moving.tcp') })
  lines.socket.write('half a li')
  await waitUntil('it is under way', () => served > 8 && returned > 10)
  await reload()
  half.write(
    'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  const [head] = (await within('the handshake', once(half, 'data'))) as [Buffer]
  assert.match(head.toString(), /^HTTP\/1\.1 101 /)
  lines.socket.write('ne\n')
  assert.equal(await lines.next(), 'half a line')
  await reload()
  stopped = true
  await Promise.all(comers)
  clearInterval(talking)
  await waitUntil('datagrams return', () => returned > 0.98 * sent).catch(() => {})
  // UDP promises nothing, but a reload should not show.
  assert.ok(returned > 0.95 * sent, `${returned} of ${sent} datagrams returned`)
  half.destroy()
  lines[Symbol.dispose]()
  const metrics = await server.metrics()
  assert.equal(metrics.sum('polyloop_net_refused_total'), 0)
  assert.equal(metrics.sum('polyloop_handoffs_total', { result: 'failed' }), 0)
})

test('reload: what cannot move is served until the grace is over, then closed with 1012', async () => {
  const port = server.port('echo.ws')
  const secure = connect({ port, host: '127.0.0.1', ca: readFileSync(CERTIFICATE.cert), servername: 'localhost' })
  await within('a TLS handshake', once(secure, 'secureConnect'))
  secure.write(
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  await within('the handshake', once(secure, 'data'))
  // A service that has no `thaw`.
  using fixed = await WebSocketClient.open(server.url('fault.ws', '/?session=fixed'))
  using moving = await openMoving('moves')
  await reload()
  const { migration } = (await (await server.fetch('/api/v1/runtime')).json()) as { migration: Record<string, unknown> }
  assert.deepEqual([migration.state, migration.lingering, migration.kind], ['lingering', 2, 'reload'])
  assert.equal(await fixed.ask('still there'), 'still there')
  assert.equal(await moving.ask('still there'), 'still there')
  const frame = once(secure, 'data') as Promise<[Buffer]>
  assert.deepEqual(await within('the close', fixed.closed, 3 * GRACE_MS), { code: 1012, reason: 'service restart' })
  const [close] = await within('the close over TLS', frame)
  assert.deepEqual([close[0], close.readUInt16BE(2)], [0x88, 1012])
  assert.equal(await moving.ask('still there'), 'still there')
  secure.destroy()
  await waitUntil(
    'the old threads are gone',
    async () => {
      const { shards } = (await (await server.fetch('/api/v1/runtime')).json()) as { shards: unknown[] }
      return shards.length === 2
    },
    15_000,
  )
})

test('reload: is refused when a restart is needed, or the configuration is wrong, and nothing changes', async () => {
  using client = await openMoving('refused')
  const refuse = async (extra: object, reason: RegExp): Promise<void> => {
    writeConfig(extra)
    const answer = await server.post('/api/v1/reload')
    assert.equal(answer.status, 409)
    assert.match(((await answer.json()) as { reason: string }).reason, reason)
  }
  await refuse({ ring: { capacity: '512KiB' } }, /restart.*ring\.capacity/)
  await refuse({ nonsense: 1 }, /nonsense/)
  writeModule('third')
  writeFileSync(module, `${readFileSync(module, 'utf8')}\nthrow new Error('broken at load')`)
  await refuse({}, /broken at load/)
  assert.equal(await client.ask('version'), 'second')
  writeModule('fourth')
  writeConfig({ shards: 3 })
  await reload()
  assert.equal(await client.ask('version'), 'fourth')
  assert.equal((await server.health()).shards.length, 3)
})

test('reload: a shard that dies in the middle costs its own, and the rest goes on', async () => {
  const clients = await Promise.all(Array.from({ length: 60 }, (_, index) => openMoving(`crash-${index}`)))
  const done = server.logged('runtime.move_done').length + server.logged('runtime.rollout_failed').length
  assert.equal((await server.post('/api/v1/reload')).status, 202)
  // While the slots and connections are on their way, or just before or after.
  await waitUntil('threads start', () => server.logged('runtime.move_started').length > done)
  await server.kill(1)
  const over = (): number => server.logged('runtime.move_done').length + server.logged('runtime.rollout_failed').length
  await waitUntil('the reload ends', () => over() > done, 40_000)
  await waitUntil('all shards are well', () => server.isHealthy(), 30_000)
  const left = clients.filter(({ isOver }) => !isOver)
  assert.ok(left.length >= 20, `${left.length} of 60 are left`)
  for (const client of left) assert.equal(await client.ask('well'), 'well')
  for (const client of clients) client[Symbol.dispose]()
  using fresh = await openMoving('fresh')
  assert.equal(await fresh.ask('well'), 'well')
  assert.match((await fresh.ask('add anything 2')) ?? '', /^count 2$/)
  await waitUntil('the books are right', async () => {
    const metrics = await server.metrics()
    return metrics.sum('polyloop_shard_connections', { service: 'moving' }) === 1
  })
})
