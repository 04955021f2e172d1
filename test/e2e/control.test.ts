// The commands that watch and control a running server, as processes against a real one.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { ALL_SERVICES, type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const bin = join(import.meta.dirname, '../../bin/polyloop.js')
const TIMEOUT_MS = 60_000
const CONNECTIONS = 20

function start(line: readonly string[], server: Server): ChildProcess {
  const admin = `--admin=http://127.0.0.1:${server.port('admin')}`
  return spawn(process.execPath, [bin, ...line, admin], { env: { PATH: process.env.PATH }, timeout: TIMEOUT_MS })
}

async function run(
  line: readonly string[],
  server: Server,
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const child = start(line, server)
  assert.ok(child.stdout && child.stderr)
  const [[code], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  return { code, stdout, stderr }
}

test('top: shows the shards of a real server, and ends with 0 at Ctrl-C', async () => {
  await using server = await startServer({ shards: 2 })
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, index) =>
      WebSocketClient.open(server.url('echo.ws', `/?session=${index}`)),
    ),
  )
  const once = await run(['top', '--once'], server)
  assert.deepEqual([once.code, once.stderr], [0, ''])
  assert.match(once.stdout, new RegExp(`^2 shards {2}${CONNECTIONS} connections `, 'm'))
  assert.equal(once.stdout.match(/^ +[01] {2}ready /gm)?.length, 2)
  const live = start(['top', '--interval', '200ms'], server)
  let written = ''
  live.stdout?.on('data', (bytes: Buffer) => {
    written += String(bytes)
  })
  await waitUntil('two tables', () => written.split('SHARD').length > 2)
  live.kill('SIGINT')
  assert.deepEqual(await within('top ends', new Promise((resolve) => live.once('close', resolve))), 0)
  for (const client of clients) client[Symbol.dispose]()
})

test('actors: kinds and handlers of a real server', async () => {
  await using server = await startServer({
    shards: 2,
    modules: ['test/e2e/tally-service.ts'],
  })
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, index) =>
      WebSocketClient.open(server.url('tallying.ws', `/?session=${index}`)),
    ),
  )
  for (let round = 0; round < 3; round++) await Promise.all(clients.map((client) => client.ask('message')))
  const all = await run(['actors'], server)
  assert.deepEqual([all.code, all.stderr], [0, ''])
  assert.match(all.stdout, new RegExp(`^tally +${CONNECTIONS} +\\d+ +${3 * CONNECTIONS} +0 +0 +0$`, 'm'))
  assert.match(all.stdout, new RegExp(`^tally +count +${3 * CONNECTIONS} +[\\d.]+ (µs|ms) `, 'm'))
  assert.equal((await run(['actors', 'tally'], server)).code, 0)
  const unknown = await run(['actors', 'nothing'], server)
  assert.deepEqual([unknown.code, unknown.stdout], [1, ''])
  assert.match(unknown.stderr, /^actors: no kind nothing; there are: .*tally/)
  assert.match((await run(['top', '--once'], server)).stdout, new RegExp(`${CONNECTIONS} actors$`, 'm'))
  for (const client of clients) client[Symbol.dispose]()
})

test('reload and shards: every connection moves and stays open, and the command says how many', async () => {
  await using server = await startServer({ shards: 2, services: ALL_SERVICES })
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, index) =>
      WebSocketClient.open(server.url('echo.ws', `/?session=${index}`)),
    ),
  )
  const echo = async (word: string): Promise<void> => {
    assert.deepEqual(new Set(await Promise.all(clients.map((client) => client.ask(word)))), new Set([word]))
  }
  const shards = async (): Promise<number[]> => (await server.health()).shards.map(({ id }) => id)
  await echo('before')
  const reload = await run(['reload'], server)
  assert.deepEqual([reload.code, reload.stderr], [0, ''])
  assert.match(reload.stdout, new RegExp(`^reload: done, ${CONNECTIONS} connections moved in [\\d.]+ s$`, 'm'))
  await echo('after the reload')
  const more = await run(['shards', '4'], server)
  assert.deepEqual([more.code, more.stderr], [0, ''])
  assert.deepEqual(await shards(), [0, 1, 2, 3])
  await echo('on four shards')
  const fewer = await run(['shards', '1'], server)
  assert.deepEqual([fewer.code, fewer.stderr], [0, ''])
  assert.deepEqual(await shards(), [0])
  await echo('on one shard')
  for (const client of clients) client[Symbol.dispose]()
})

test('drain: ends a real server cleanly and waits for it', async () => {
  await using server = await startServer({ shards: 2, services: ALL_SERVICES })
  using client = await WebSocketClient.open(server.url('echo.ws'))
  const { code, stdout, stderr } = await run(['drain'], server)
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /^(drain: connections left: \d+\n)?drain: the server has ended\n$/)
  assert.deepEqual(await within('the close', client.closed), { code: 1001, reason: 'server shutting down' })
  assert.deepEqual(await within('the end', server.ended), { status: 0, signal: null })
  const again = await run(['drain'], server)
  assert.equal(again.code, 1)
  assert.match(again.stderr, /^drain: no server answers at /)
})
