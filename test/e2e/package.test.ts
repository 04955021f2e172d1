// The published package: packed, installed into an empty folder, and used from there as a stranger would.
import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { LineClient } from '../harness/line-client.ts'
import { Server } from '../harness/server.ts'
import { within } from '../harness/wait.ts'
import { askWebSocket } from './web-socket-question.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'polyloop-package-'))
const installed = join(folder, 'node_modules/polyloop')
// `npx` and the `#!` line take the first node of the PATH: the pinned one, even where npm itself came with another.
const PATH = `${dirname(process.execPath)}:${process.env.PATH}`
const SLOW_MS = 180_000

const SERVICE = `
import { defineService } from 'polyloop'
export const shout = defineService({
  name: 'shout',
  listeners: { tcp: { port: 8090 } },
  start: () => ({ tcp: { data: (connection, bytes) => void connection.send(bytes.toString().toUpperCase()) } }),
})
`
const PROGRAM = `
import { createRuntime, defineService, type Runtime } from 'polyloop'
const service = defineService({ name: 'quiet', options: {}, listeners: { udp: { port: 9 } }, start: ({ config }) => ({ messageBytesMax: config.udp.port }) })
const runtime: Runtime = await createRuntime({ only: [service.name] })
// @ts-expect-error the declarations are really there: an option of the wrong type is refused
await createRuntime({ shards: 'many' }).then(() => runtime.drain())
`

function npm(...line: string[]): Promise<{ stdout: string }> {
  return promisify(execFile)('npm', line, { cwd: folder, env: { ...process.env, PATH }, timeout: SLOW_MS })
}

before(async () => {
  const { stdout } = await npm('pack', root, '--json', '--pack-destination', folder)
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }]
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: 'module' }))
  await npm('install', '--prefer-offline', '--no-audit', '--no-fund', `./${filename}`)
})

after(() => rmSync(folder, { recursive: true, force: true }))

test('package: brings what runs and what explains, and neither sources nor tests', () => {
  const files = globSync('**/*', { cwd: installed, exclude: ['node_modules/**'] })
  const tops = new Set(files.map((file) => file.split('/')[0]))
  const wanted = ['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'config', 'dist', 'docs', 'package.json']
  assert.deepEqual([...tops].sort(), wanted)
  assert.deepEqual(
    files.filter((file) => /\.test\.|\.bench\.|^docs\/reports|(?<!\.d)\.ts$/.test(file)),
    [],
  )
})

test('package: npx polyloop start serves echo, and a JavaScript module of the user', async () => {
  writeFileSync(join(folder, 'shout.js'), SERVICE)
  const ports = ['echo.tcp', 'echo.udp', 'echo.ws', 'hub.ws', 'shout.tcp'].map((name) => `services.${name}.port=0`)
  const set = [...ports, 'admin.port=0', 'shards=2', 'modules=shout.js'].flatMap((one) => ['--set', one])
  const child = spawn('npx', ['--no', 'polyloop', 'start', ...set], {
    cwd: folder,
    env: { PATH, HOME: process.env.HOME ?? folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const server = await new Server(child).ready()
  // npx does not pass a signal on; a terminal would give it to both.
  const pid = Number(server.logged('runtime.ready')[0]?.pid)
  try {
    using echo = await LineClient.open({ port: server.port('echo.tcp') })
    using shout = await LineClient.open({ port: server.port('shout.tcp') })
    const answers = await Promise.all([
      echo.ask('hi'),
      shout.ask('hi'),
      askWebSocket(server.url('echo.ws'), 'привет'),
      askWebSocket(server.url('echo.ws'), new Uint8Array([0, 255])),
    ])
    assert.deepEqual(answers, ['[Conn 1] hi', 'HI', 'привет', new Uint8Array([0, 255])])
    const parts = ['/', '/dashboard/dashboard.js', '/dashboard/dashboard.css', '/dashboard/uplot.js']
    const hub = `http://127.0.0.1:${server.port('hub.ws')}`
    const ofHub = ['/', '/page/hub.js', '/page/chart.js', '/page/uplot.js', '/asyncapi.yaml']
    const pages = await Promise.all([
      ...parts.map((path) => server.fetch(path)),
      ...ofHub.map((path) => fetch(hub + path)),
    ])
    for (const { status, url } of pages) assert.equal(status, 200, url)
  } finally {
    process.kill(pid, 'SIGTERM')
  }
  assert.equal((await within('the server ends', server.ended)).status, 0)
})

test('package: its types resolve', () => {
  const compilerOptions = {
    ...{ strict: true, noEmit: true, module: 'nodenext', target: 'es2024', types: ['node'] },
    typeRoots: [join(root, 'node_modules/@types')],
  }
  mkdirSync(join(folder, 'typed'))
  writeFileSync(join(folder, 'typed/main.ts'), PROGRAM)
  writeFileSync(join(folder, 'typed/tsconfig.json'), JSON.stringify({ compilerOptions, include: ['main.ts'] }))
  const line = [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'typed']
  const { status, stdout } = spawnSync(process.execPath, line, { cwd: folder, encoding: 'utf8', timeout: SLOW_MS })
  assert.deepEqual([status, stdout], [0, ''])
})

test('package: on a Node.js that is too old one line says which is needed', (context) => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find((file) =>
    /^v(1\d|2[0-3])\./.test(spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout ?? ''),
  )
  if (old === undefined) {
    context.skip('no old Node.js on this machine; test/e2e/cli.test.ts pretends to be one')
    return
  }
  const started = spawnSync(old, [join(installed, 'bin/polyloop.js'), 'start'], { encoding: 'utf8', timeout: SLOW_MS })
  assert.deepEqual([started.status, started.stdout], [1, ''])
  assert.match(started.stderr, /^Polyloop needs Node\.js >= 24\.20 \(but not 25\) or >= 26\.7; this is \S+ \(.*\)\.\n$/)
})
