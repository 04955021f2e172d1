// What `polyloop cluster` refuses before it starts anything. What it does otherwise: test/e2e/cluster.test.ts.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { leaveFolder, takeFolder } from '../../../src/cli/cluster/folder.ts'
import { runCommand } from '../capture.ts'

/** A port of nobody, for the services: all others are off. */
const ONE_SERVICE = ['chat', 'session-proxy'].map((name) => `--set=services.${name}.enabled=false`)
const FOLDER = join(tmpdir(), 'polyloop-cluster-of-nobody')
const DATA = `--data=${FOLDER}`

let server: Server
let port: number

before(async () => {
  server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as { port: number }).port
})

after(() => {
  server.close()
  rmSync(FOLDER, { recursive: true, force: true })
})

function freePorts(): string[] {
  return ['services.echo.tcp', 'services.echo.udp', 'services.echo.ws', 'admin'].map((key) => `--set=${key}.port=0`)
}

test('cluster: senseless options are 2', async () => {
  for (const line of ['--hosts=1', '--hosts=10', '--shift=-1', '--redis-url=http://x']) {
    const { status, stderr } = await runCommand(['cluster', line, ...ONE_SERVICE, ...freePorts(), DATA])
    assert.deepEqual([status, stderr.split('\n').length], [2, 4], `${line}: ${stderr}`)
  }
})

test('cluster: what the tool sets on each host cannot be set otherwise', async () => {
  const settings = [
    'bridge.redis.url=redis://:hush@127.0.0.1:1',
    'bridge.kind=local',
    'store.path=/tmp/x',
    'log.level=warn',
  ]
  for (const setting of settings) {
    const line = ['cluster', '--shift=23000', `--set=${setting}`, ...ONE_SERVICE, ...freePorts(), DATA]
    const { status, stdout, stderr } = await runCommand(line, { PATH: '/nowhere' })
    assert.deepEqual([status, stdout], [2, ''], setting)
    const [key = ''] = setting.split('=')
    assert.ok(stderr.startsWith(`cluster: --set ${key}`), stderr)
    assert.ok(!stderr.includes('hush'), 'a password is not shown')
  }
})

test('cluster: a port that somebody has is told, and nothing starts', async () => {
  const busy = [`--set=services.echo.tcp.port=${port}`]
  const line = ['cluster', '--hosts=2', ...ONE_SERVICE, ...freePorts(), ...busy, DATA]
  const { status, stdout, stderr } = await runCommand(line)
  assert.deepEqual([status, stdout], [1, ''])
  assert.match(stderr, new RegExp(`^cluster: tcp port ${port} of echo tcp of host 1: somebody has it already\n`))
})

test('cluster: a folder that another cluster has is told, and nothing starts', async () => {
  const data = mkdtempSync(join(tmpdir(), 'polyloop-cluster-folder-'))
  writeFileSync(join(data, 'cluster.pid'), `${process.ppid}\n`)
  const line = ['cluster', '--hosts=2', '--shift=22000', ...ONE_SERVICE, ...freePorts(), `--data=${data}`]
  const { status, stdout, stderr } = await runCommand(line)
  assert.deepEqual([status, stdout], [1, ''])
  assert.match(stderr, new RegExp(`^cluster: ${data} is that of process ${process.ppid}: [^\\n]*\n$`))
  // Of a process that is no more.
  writeFileSync(join(data, 'cluster.pid'), '4194305\n')
  assert.equal(takeFolder(data, process.pid), undefined)
  assert.match(takeFolder(join(data, 'cluster.pid'), process.pid) ?? '', /^EEXIST: /)
  leaveFolder(data)
  assert.deepEqual(readdirSync(data), [])
  rmSync(data, { recursive: true })
})

test('cluster: no redis-server, and a Redis that is not there, are 1 with a line', async () => {
  const line = ['cluster', '--shift=21000', ...ONE_SERVICE, ...freePorts(), DATA]
  const without = await runCommand(line, { PATH: '/nowhere' })
  assert.deepEqual([without.status, without.stdout], [1, ''])
  assert.match(without.stderr, /^cluster: there is no redis-server in the PATH: install it, or [^\n]*\n$/)
  const closed = await runCommand([...line, '--redis-url=redis://127.0.0.1:1'])
  assert.deepEqual([closed.status, closed.stdout], [1, ''])
  assert.match(closed.stderr, /^cluster: no connection to redis:\/\/127\.0\.0\.1:1: [^\n]*\n$/)
})
