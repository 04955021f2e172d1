// What examples/ and the README show, run as a reader would run it.
import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { LineClient } from '../harness/line-client.ts'
import { Server } from '../harness/server.ts'
import { within } from '../harness/wait.ts'
import { askWebSocket } from './web-socket-question.ts'

const root = join(import.meta.dirname, '../..')
const bin = join(root, 'bin/polyloop.js')

function readme(): string {
  return readFileSync(join(root, 'README.md'), 'utf8')
}

function run(line: readonly string[], folder: string, environment: Readonly<Record<string, string>>): Promise<Server> {
  const child = spawn(process.execPath, line, {
    cwd: folder,
    env: { PATH: process.env.PATH, POLYLOOP_ADMIN_PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return new Server(child).ready()
}

const FREE_PORTS = { POLYLOOP_SERVICES_REMINDER_TCP_PORT: '0', POLYLOOP_SERVICES_REMINDER_WS_PORT: '0' }

async function assertReminds(server: Server): Promise<void> {
  using tea = await LineClient.open({ port: server.port('reminder.tcp') })
  const answers = await Promise.all([
    tea.ask('30 tea'),
    askWebSocket(server.url('reminder.ws'), '20 чай'),
    askWebSocket(server.url('reminder.ws'), '600001 too late'), // the option is 10m
  ])
  const refusal = '? <milliseconds, at most 600000> <text>'
  assert.deepEqual([...answers, await tea.ask('tea')], ['tea', 'чай', refusal, refusal])
  const page = await server.metrics()
  const counts = ['taken', 'refused'].map((result) => page.sum('reminder_requests_total', { result }))
  assert.deepEqual(counts, [2, 2])
}

test('examples: own-service runs through `modules` of a configuration file', async () => {
  // The file names its ports, and a file loses against the environment.
  const line = [bin, 'start', '--config', 'examples/own-service/polyloop.yaml']
  await using server = await run(line, root, FREE_PORTS)
  await assertReminds(server)
  assert.equal((await server.stop()).status, 0)
})

test('examples: own-service runs in a program of its own', async () => {
  await using server = await run(['examples/own-service/main.ts'], root, FREE_PORTS)
  await assertReminds(server)
  server.signal('SIGINT')
  assert.equal((await within('the program ends', server.ended)).status, 0)
})

test('examples: event-loop shows backpressure, a relay, a timeout and the end', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['examples/event-loop.ts'], {
    cwd: root,
    timeout: 20_000,
  })
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    'reader: 16 MiB came through the relay, closed by: client',
    'source: had to wait',
    'sleeper: hears "good night"',
    'timeout: the sleeper said nothing more',
    'sleeper: closed by: client',
  ])
})

/** What a line of the tour prints, where that is certain; every line must end well. */
const PRINTS: readonly (readonly [line: RegExp, output: RegExp])[] = [
  [/nc -N/, /^\[Conn 1\] hi\n$/],
  [/nc -u/, /^hi\n$/],
  [/new WebSocket/, /^hi\n$/],
  [/placement/, /^echo:ada: slot \d+, shard [0-3] /],
  [/load-test/, /Throughput/i],
  [/metrics/, /^polyloop_shard_up\{.*\} 1$/m],
  [/health$/, /"status":"healthy"/],
  [/restart/, /\{"status":"accepted"\}/],
]

test('examples: the tour in the README', async () => {
  const [, tour = ''] = /## A tour\n[\s\S]*?\n\n((?: {4}.*\n)+)/.exec(readme()) ?? []
  const settings = ['tcp', 'udp', 'ws'].map((transport) => `services.echo.${transport}.port=0`)
  const set = settings.flatMap((one) => ['--set', one])
  await using server = await run([bin, 'start', '--shards', '2', ...set], root, {})
  const lines = tour.split('\n').filter((line) => line !== '')
  assert.equal(lines.length, PRINTS.length)
  for (const line of lines) {
    const command = line
      .replace(/ {2,}#.*/, '')
      .trim()
      .replace(/8084/, String(server.port(line.includes('nc -u') ? 'echo.udp' : 'echo.tcp')))
      .replace(/8085/, String(server.port('echo.ws')))
      .replace(/9464/, String(server.port('admin')))
      .replace('--duration 10s', '--warmup 200ms --duration 500ms')
    // A machine may lack a tool of the tour; Polyloop is not to blame then.
    if (/\b(nc|curl) /.test(command) && spawnSync('sh', ['-c', 'command -v nc && command -v curl']).status !== 0)
      continue
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: root, timeout: 30_000 })
    assert.match(stdout, PRINTS.find(([pattern]) => pattern.test(command))?.[1] ?? /^never$/, command)
  }
})

test('examples: the service in the README works as it stands there', async () => {
  const [, code] = /```ts\n(\/\/ shout\.ts\n[^`]*?)```/.exec(readme()) ?? []
  assert.ok(code !== undefined, 'the README shows shout.ts')
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-readme-'))
  try {
    const index = new URL('../../src/index.ts', import.meta.url).href
    writeFileSync(join(folder, 'shout.ts'), code.replace("'polyloop'", `'${index}'`))
    const set = ['modules=shout.ts', 'services.shout.ws.port=0', 'shards=2'].flatMap((one) => ['--set', one])
    await using server = await run([bin, 'start', '--only', 'shout', ...set], folder, {})
    assert.equal(await askWebSocket(server.url('shout.ws'), 'hi'), 'HI!')
    assert.equal((await server.stop()).status, 0)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
