// The runtime as a library: started in the test's own process, its refusals, and that nothing of it stays behind.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { createRuntime, PolyloopError } from '../../src/index.ts'
import { LineClient } from '../harness/line-client.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const RELAY = new URL('./relay-service.ts', import.meta.url)
const TASK = new URL('./relay-task.ts', import.meta.url)
const PROGRAM = join(import.meta.dirname, 'runtime-process.ts')
/** Far above what a start and an end take, on a busy machine too. */
const ENDS_MS = 30_000
const run = promisify(execFile)

const FREE: Readonly<Record<string, string | number>> = {
  'admin.port': 0,
  'services.chat.http.port': 0,
  'services.chat.tcp.port': 0,
  'services.chat.udp.port': 0,
  'services.echo.tcp.port': 0,
  'services.echo.udp.port': 0,
  'services.echo.ws.port': 0,
  'services.hub.ws.port': 0,
  'services.session-proxy.ws.port': 0,
  'services.rooms.tcp.port': 0,
}
/** With echo alone: a start takes a third less. */
const LEAN = {
  ...FREE,
  ...Object.fromEntries(['chat', 'hub', 'rooms', 'session-proxy'].map((name) => [`services.${name}.enabled`, false])),
}

/** Takes the log's lines instead of stdout. */
class CapturedLog extends Writable {
  text = ''

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

async function takenPort(): Promise<{ server: Server; port: number }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return { server, port: address.port }
}

async function refusal(
  settings: Readonly<Record<string, string | number>>,
  modules: string[] = [],
): Promise<PolyloopError> {
  const logStream = new CapturedLog()
  try {
    const runtime = await createRuntime({ shards: 2, settings: { ...LEAN, ...settings }, modules, logStream })
    await runtime.close()
  } catch (error) {
    assert.ok(error instanceof PolyloopError, String(error))
    return error
  }
  return assert.fail('it started')
}

test('runtime: serves from the own process, offloads, reports, and drains', async () => {
  const logStream = new CapturedLog()
  await using runtime = await createRuntime({ shards: 2, settings: FREE, modules: [RELAY], logStream })
  const portOf = (service: string, transport: string): number =>
    runtime.listeners.find((one) => one.service === service && one.transport === transport)?.port ?? 0
  using line = await LineClient.open({ port: portOf('echo', 'tcp') })
  assert.equal(await line.ask('hello'), '[Conn 1] hello')
  using client = await WebSocketClient.open(`ws://127.0.0.1:${portOf('relay', 'ws')}/?session=a`)
  assert.match((await client.ask('where')) ?? '', /^[01]$/)
  assert.equal(await runtime.offload(TASK, 'square', 7), 49)
  await assert.rejects(runtime.offload(TASK, 'fail', 7), /no 7/)
  assert.equal(runtime.health().status, 'healthy')
  assert.equal(runtime.report().shards.length, 2)
  assert.match(await runtime.metrics(), /polyloop_build_info/)
  assert.equal(runtime.restart(7), 'unknown_shard')

  const drained = runtime.drain()
  assert.deepEqual(await within('the close', client.closed), { code: 1001, reason: 'server shutting down' })
  assert.equal(await within('the end', line.ended), true)
  line.end()
  assert.equal(await within('the drain', drained), true)
  assert.equal(await runtime.ended, true)
  const events = logStream.text
    .trim()
    .split('\n')
    .map((text) => (JSON.parse(text) as { event: string }).event)
  for (const event of ['net.listening', 'runtime.ready', 'runtime.draining', 'runtime.drained'])
    assert.ok(events.includes(event), event)
})

test('runtime: two of them in one process do not know of each other', async () => {
  const logStream = new CapturedLog()
  await using one = await createRuntime({ shards: 1, only: ['echo'], settings: FREE, logStream })
  await using two = await createRuntime({ shards: 1, only: ['echo'], settings: FREE, logStream })
  const port = (runtime: typeof one): number =>
    runtime.listeners.find(({ transport }) => transport === 'tcp')?.port ?? 0
  using first = await LineClient.open({ port: port(one) })
  using second = await LineClient.open({ port: port(two) })
  assert.equal(await first.ask('x'), '[Conn 1] x')
  assert.equal(await second.ask('x'), '[Conn 1] x')
  await one.close()
  await within('the end of the first', first.ended)
  assert.equal(await second.ask('y'), '[Conn 1] y')
})

test('runtime: CONFIG_INVALID names every problem', async () => {
  const error = await refusal({ 'net.backlog': 'many', 'services.echo.mod': 'raw', 'shard.hangLimit': '1ms' })
  assert.equal(error.code, 'CONFIG_INVALID')
  assert.equal((error.details.problems as unknown[]).length, 3)
})

test('runtime: MODULE_INVALID for a module that is none, or holds no service', async () => {
  assert.equal((await refusal({}, [TASK.href])).code, 'MODULE_INVALID')
  assert.equal((await refusal({}, ['file:///nowhere.ts'])).code.endsWith('_INVALID'), true)
})

test('runtime: LISTEN_FAILED for a port that is taken, with everything stopped again', async () => {
  const { server, port } = await takenPort()
  try {
    for (const key of ['services.echo.tcp.port', 'services.echo.ws.port', 'admin.port']) {
      const error = await refusal({
        [key]: port,
        'services.echo.tcp.host': '127.0.0.1',
        'services.echo.ws.host': '127.0.0.1',
        'admin.host': '127.0.0.1',
      })
      assert.equal(error.code, 'LISTEN_FAILED', key)
      assert.equal(error.details.port, port)
      assert.equal(error.retryable, true)
    }
    // Nothing of the failed ones is left: the same settings but for that port start.
    const logStream = new CapturedLog()
    const runtime = await createRuntime({ shards: 2, only: ['echo'], settings: FREE, logStream })
    await runtime.close()
    assert.equal(await runtime.ended, false)
  } finally {
    server.close()
  }
})

test('runtime: a program ends by itself after a drain, and after each kind of refusal', async () => {
  const { server, port } = await takenPort()
  const ended = async (settings: Readonly<Record<string, string | number>>, ...rest: string[]): Promise<unknown> => {
    const line = [PROGRAM, JSON.stringify({ ...LEAN, ...settings }), ...rest]
    const { stdout, stderr } = await run(process.execPath, line, { timeout: ENDS_MS })
    assert.equal(stderr, '')
    return JSON.parse(stdout)
  }
  try {
    const outcomes = await Promise.all([
      ended({}),
      ended({ 'net.backlog': 'many' }),
      ended({ 'services.echo.tcp.host': '127.0.0.1', 'services.echo.tcp.port': port }),
      ended({ 'admin.host': '127.0.0.1', 'admin.port': port }),
      ended({}, TASK.href),
    ])
    assert.deepEqual(
      outcomes.map((outcome) => (outcome as { code?: string }).code),
      [undefined, 'CONFIG_INVALID', 'LISTEN_FAILED', 'LISTEN_FAILED', 'MODULE_INVALID'],
    )
    assert.equal((outcomes[0] as { clean: boolean }).clean, true)
  } finally {
    server.close()
  }
})

test('runtime: a drain under way and a close after it end what is left, and are no errors', async () => {
  const logStream = new CapturedLog()
  const runtime = await createRuntime({
    shards: 2,
    only: ['echo'],
    settings: { ...FREE, 'net.closeTimeout': '1s' },
    logStream,
  })
  const port = runtime.listeners.find(({ transport }) => transport === 'ws')?.port
  using client = await WebSocketClient.open(`ws://127.0.0.1:${port}/`)
  client.raw.pause()
  const drained = runtime.drain()
  await waitUntil('the drain began', () => logStream.text.includes('runtime.draining'))
  await within('the drain', drained)
  await runtime.close()
  assert.ok(!logStream.text.includes('runtime.thread_exited'), 'ends that were wanted are no errors')
})
