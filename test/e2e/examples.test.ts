// What examples/ and the README show, run as a reader would run it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { askLine, askWebSocket, type ServerProcess, startServer } from './server-process.ts'

const root = join(import.meta.dirname, '../..')
const bin = join(root, 'bin/polyloop.js')
const FREE_PORTS = {
  POLYLOOP_ADMIN_PORT: '0',
  POLYLOOP_SERVICES_REMINDER_TCP_PORT: '0',
  POLYLOOP_SERVICES_REMINDER_WS_PORT: '0',
}

async function assertReminds(server: ServerProcess): Promise<void> {
  const tcp = server.portOf('reminder', 'tcp')
  const ws = `ws://127.0.0.1:${server.portOf('reminder', 'ws')}`
  const answers = await Promise.all([
    askLine(tcp, '30 tea'),
    askLine(tcp, 'tea'),
    askWebSocket(ws, '20 чай'),
    askWebSocket(ws, '600001 too late'), // the option is 10m
  ])
  const refusal = '? <milliseconds, at most 600000> <text>'
  assert.deepEqual(answers, ['tea', refusal, 'чай', refusal])
  const page = await (await fetch(`http://127.0.0.1:${server.adminPort}/metrics`)).text()
  const sum = (result: string): number =>
    [...page.matchAll(new RegExp(`^reminder_requests_total\\{.*result="${result}".*\\} (\\d+)$`, 'gm'))]
      .map(([, value]) => Number(value))
      .reduce((a, b) => a + b, 0)
  assert.deepEqual([sum('taken'), sum('refused')], [2, 2])
}

test('examples: own-service runs through `modules` of a configuration file', async () => {
  const line = [bin, 'start', '--config', 'examples/own-service/polyloop.yaml', ...freePorts()]
  const server = await startServer({ file: process.execPath, line, folder: root })
  await assertReminds(server)
  assert.equal(await server.end(), 0)
})

test('examples: own-service runs in a program of its own', async () => {
  const line = ['examples/own-service/main.ts']
  const server = await startServer({ file: process.execPath, line, folder: root, environment: FREE_PORTS })
  await assertReminds(server)
  assert.equal(await server.end('SIGINT'), 0)
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

test('examples: the service in the README works as it stands there', async () => {
  const [, code] = /```ts\n(\/\/ shout\.ts\n[^`]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? []
  assert.ok(code !== undefined, 'the README shows shout.ts')
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-readme-'))
  try {
    const index = new URL('../../src/index.ts', import.meta.url).href
    writeFileSync(join(folder, 'shout.ts'), code.replace("'polyloop'", `'${index}'`))
    const set = [
      'modules=shout.ts',
      'services.shout.ws.port=0',
      'services.shout.tcp.port=0',
      'admin.port=0',
      'shards=2',
    ]
    const line = [bin, 'start', '--only', 'shout', ...set.flatMap((one) => ['--set', one])]
    const server = await startServer({ file: process.execPath, line, folder })
    assert.equal(await askWebSocket(`ws://127.0.0.1:${server.portOf('shout', 'ws')}`, 'hi'), 'HI!')
    assert.equal(await server.end(), 0)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

function freePorts(): string[] {
  const keys = ['admin.port', 'services.reminder.tcp.port', 'services.reminder.ws.port']
  return keys.flatMap((key) => ['--set', `${key}=0`])
}
