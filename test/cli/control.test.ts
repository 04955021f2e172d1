import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type MigrationReport, NO_MIGRATION } from '../../src/observe/report.ts'
import { openAdmin } from './admin-fixture.ts'
import { runCommand } from './capture.ts'

const EARLIER: MigrationReport = { ...NO_MIGRATION, kind: 'shards', moved: 9, started_ms: 500, finished_ms: 900 }
const BEGUN: MigrationReport = { ...NO_MIGRATION, state: 'moving', kind: 'reload', remaining: 4, started_ms: 1_000 }
const DONE: MigrationReport = { ...BEGUN, state: 'idle', moved: 4, remaining: 0, finished_ms: 3_500 }

/** Once ordered, each report is the next of `steps`, and then the last again. */
async function follow(context: TestContext, line: readonly string[], steps: readonly MigrationReport[]) {
  const left = [...steps]
  const orders: unknown[] = []
  const accept = (count?: number): 'accepted' => {
    orders.push(count ?? 'reload')
    return 'accepted'
  }
  const fixture = await openAdmin(context, { view: () => ({ reload: () => accept(), shards: accept }) })
  fixture.migration = EARLIER
  fixture.onAsked = () => {
    if (orders.length > 0) fixture.migration = left.shift() ?? fixture.migration
  }
  return { ...(await runCommand([...line, '--admin', fixture.url])), orders }
}

test('reload: follows the move that it began, and says how much moved', async (context) => {
  const { status, stdout, stderr, orders } = await follow(context, ['reload'], [EARLIER, BEGUN, DONE])
  assert.deepEqual(
    [status, stdout, stderr, orders],
    [0, 'reload:   0%  0 of 4 connections moved\nreload: done, 4 connections moved in 2.5 s\n', '', ['reload']],
  )
})

test('reload: what lingers is told and not waited for', async (context) => {
  const lingering: MigrationReport = { ...DONE, state: 'lingering', moved: 3, lingering: 1, finished_ms: null }
  const { status, stdout } = await follow(context, ['reload'], [lingering])
  assert.deepEqual([status, stdout], [0, 'reload: done, 3 connections moved, 1 lingering on the old shard\n'])
})

test('reload: a move that ends with an error is a failure', async (context) => {
  const failed: MigrationReport = { ...DONE, error: 'a successor did not start' }
  const { status, stdout, stderr } = await follow(context, ['reload'], [BEGUN, failed])
  assert.equal(status, 1)
  assert.ok(!stdout.includes('done'))
  assert.equal(stderr, 'reload: a successor did not start\n')
})

test('shards: orders the number, and one that makes no sense is a usage error', async (context) => {
  const { status, stdout, orders } = await follow(context, ['shards', '6'], [{ ...DONE, kind: 'shards', failed: 1 }])
  assert.deepEqual([status, stdout, orders], [0, 'shards: done, 4 connections moved in 2.5 s, 1 failed\n', [6]])
  for (const count of ['0', '65', 'x', '1.5', '']) {
    const usage = await runCommand(['shards', count])
    assert.deepEqual([usage.status, usage.stderr.includes('an integer from 1 to 64')], [2, true], count)
  }
})

test('reload: a refusal is one line with the reason of the server', async (context) => {
  const reason = 'restart needed: the layout of records changed'
  const { url } = await openAdmin(context, { view: () => ({ reload: () => ({ outcome: 'refused', reason }) }) })
  assert.deepEqual(await runCommand(['reload', '--admin', url]), {
    status: 1,
    stdout: '',
    stderr: `reload: refused: ${reason}\n`,
  })
})

test('controls: without a server, and without its token, one line says so', async (context) => {
  const { url, close } = await openAdmin(context, { token: 'the-token-of-tests' })
  for (const command of [['reload'], ['shards', '2'], ['drain'], ['actors'], ['top', '--once']]) {
    const { status, stdout, stderr } = await runCommand([...command, '--admin', url])
    assert.deepEqual([status, stdout], [1, ''], command.join(' '))
    assert.equal(stderr, `${command[0]}: ${url} needs its token: give --token, or set POLYLOOP_ADMIN_TOKEN\n`)
  }
  const environment = { POLYLOOP_ADMIN_TOKEN: 'the-token-of-tests' }
  assert.equal((await runCommand(['top', '--once', '--admin', url], environment)).status, 0)
  assert.equal((await runCommand(['top', '--once', '--admin', url, '--token', 'the-token-of-tests'])).status, 0)
  await close()
  for (const command of [['reload'], ['shards', '2'], ['drain'], ['actors'], ['top', '--once']]) {
    const { status, stdout, stderr } = await runCommand([...command, '--admin', url])
    assert.deepEqual([status, stdout], [1, ''], command.join(' '))
    assert.match(stderr, new RegExp(`^${command[0]}: no server answers at ${url}: .+\n$`))
  }
})

test('drain: waits until the server is gone', async (context) => {
  const fixture = await openAdmin(context, {
    view: (of) => ({
      drain: () => {
        of.readiness = 'draining'
        return 'accepted'
      },
    }),
  })
  let asked = 0
  fixture.onAsked = () => {
    if (++asked === 2) void fixture.close()
  }
  const { status, stdout, stderr } = await runCommand(['drain', '--admin', fixture.url])
  assert.deepEqual([status, stderr], [0, ''])
  assert.equal(stdout, 'drain: connections left: 0\ndrain: the server has ended\n')
})

test('top: --json is the report of the server, one line', async (context) => {
  const { url } = await openAdmin(context)
  const { stdout } = await runCommand(['top', '--once', '--json', '--admin', url])
  const report = JSON.parse(stdout) as { shards: { id: number }[] }
  assert.deepEqual([stdout.split('\n').length, report.shards.map(({ id }) => id)], [2, [0, 1]])
})
