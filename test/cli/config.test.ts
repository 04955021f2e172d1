import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ringMemory } from '../../src/cli/config.ts'
import { runCommand } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'polyloop-config-'))
after(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

test('config print: every value with its origin, secrets masked, and the rings at worst', async () => {
  const path = write('print.yaml', 'shards: 2\nadmin:\n  token: swordfish\nservices:\n  echo:\n    mode: raw\n')
  const environment = { POLYLOOP_CONFIG: path, POLYLOOP_NET_BACKLOG: '99' }
  const { status, stdout, stderr } = await runCommand(['config', 'print', '--set', 'log.level=debug'], environment)
  assert.deepEqual([status, stderr], [0, ''])
  for (const line of [
    `shards: 2  # ${path}:1`,
    `  token: "***"  # ${path}:3`,
    `    mode: raw  # ${path}:6`,
    '  backlog: 99  # env POLYLOOP_NET_BACKLOG',
    '  level: debug  # flag',
    '  grace: 30s  # default',
    '# Rings at worst (shards: 2): 30 pairs of 6 threads x (256KiB + 64KiB) = 9.4 MiB',
  ]) {
    assert.ok(stdout.split('\n').includes(line), `${line}\n${stdout}`)
  }
  assert.ok(!stdout.includes('swordfish'))
})

test('config print: what it prints is a configuration that checks', async () => {
  const { stdout } = await runCommand(['config', 'print', '--set', 'shards=3'])
  const path = write('printed.yaml', stdout)
  const { status, stderr } = await runCommand(['config', 'check', path])
  assert.deepEqual([status, stderr], [0, ''])
})

test('config check: all problems at once, and status 1', async () => {
  const path = write('broken.yaml', 'shards: 0\nservices:\n  ecco: {}\n')
  const { status, stdout, stderr } = await runCommand(['config', 'check', path], { POLYLOOP_LOG_LEVEL: 'x' })
  assert.deepEqual([status, stdout], [1, ''])
  assert.deepEqual(
    stderr.split('\n').map((line) => line.split(':').slice(0, 3).join(':')),
    [`polyloop: ${path}:3`, `polyloop: ${path}:1`, 'polyloop: env POLYLOOP_LOG_LEVEL: log.level', ''],
  )
  assert.match(stderr, /services\.ecco: no such option \(did you mean services\.echo\?\)/)
})

test('config check: a file that is not there is one problem', async () => {
  const { status, stderr } = await runCommand(['config', 'check', join(folder, 'nothing.yaml')])
  assert.equal(status, 1)
  assert.match(stderr, /^polyloop: .*nothing\.yaml: cannot be read: ENOENT[^\n]*\n$/)
})

test('config check: a module brings its own rows; one that brings no service is a problem', async () => {
  const service = write(
    'mine.ts',
    `export const mine = { kind: 'service', name: 'mine', options: {}, listeners: { tcp: { port: 9 } }, start: () => ({}) }`,
  )
  const path = write('modules.yaml', `modules: [${service}]\nservices: { mine: { tcp: { port: 10 } } }\n`)
  assert.equal((await runCommand(['config', 'check', path])).stderr, '')
  const empty = write('empty.ts', 'export const nothing = 1')
  const failed = await runCommand(['config', 'check', '--set', `modules=${empty}`])
  assert.equal(failed.status, 1)
  assert.match(failed.stderr, /MODULE_INVALID/)
  // The configuration's own problems come first: the missing file is named, not the failed import.
  const missing = await runCommand(['config', 'check', '--set', 'modules=/no/such.ts', '--set', 'shards=0'])
  assert.deepEqual(missing.stderr.split('\n').length, 3)
  assert.match(missing.stderr, /flag: modules: the file \/no\/such\.ts cannot be read/)
})

test('ring memory: every ordered pair of shards and the four other threads, twice the shards in a reload', () => {
  assert.equal(
    ringMemory(1, 256 * 1024, 64 * 1024),
    [
      '# Rings at worst (shards: 1): 20 pairs of 5 threads x (256KiB + 64KiB) = 6.3 MiB',
      '# During a reload (twice the shards, two acceptors): 42 pairs of 7 threads x (256KiB + 64KiB) = 13.1 MiB',
    ].join('\n'),
  )
})
