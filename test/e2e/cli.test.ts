// The CLI as a process: what only a process shows. The rules of the command line themselves are in test/cli/.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

const root = join(import.meta.dirname, '../..')
const bin = join(root, 'bin/polyloop.js')
const TIMEOUT_MS = 20_000

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

function start(line: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, line, { cwd: root, env: { PATH: process.env.PATH }, timeout: TIMEOUT_MS })
  child.stdin?.end()
  return child
}

async function endOf(child: ChildProcess): Promise<Ended> {
  assert.ok(child.stdout && child.stderr)
  const [[code, signal], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number | null, string | null]>,
    text(child.stdout),
    text(child.stderr),
  ])
  return { code, signal, stdout, stderr }
}

test('cli: the process exits with 0, 1 or 2', async () => {
  const [help, failure, usage] = await Promise.all(
    [['--help'], ['config', 'check', '--set', 'shards=0'], ['nothing']].map((line) => endOf(start([bin, ...line]))),
  )
  assert.deepEqual([help?.code, help?.stderr], [0, ''])
  assert.deepEqual([failure?.code, failure?.stdout], [1, ''])
  assert.equal(failure?.stderr, "polyloop: flag: shards: must be auto, or an integer from 1 to 64, not '0'\n")
  assert.deepEqual([usage?.code, usage?.stdout], [2, ''])
})

/** Runs the entry point in a Node.js that claims to be another. */
function pretend(version: string, platform: string): Promise<Ended> {
  const code = `Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}});Object.defineProperty(process,'platform',{value:'${platform}'})`
  return endOf(start(['--import', `data:text/javascript,${encodeURIComponent(code)}`, bin, '--version']))
}

test('cli: another Node.js version, and Windows, get one clear line', async () => {
  const refused = ['12.22.12', '20.20.2', '24.19.9', '25.9.0', '26.6.9']
  const taken = ['24.20.0', '24.99.0', '26.7.0', '27.0.0']
  for (const { code, stdout, stderr } of await Promise.all(refused.map((version) => pretend(version, 'linux')))) {
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^Polyloop needs Node\.js >= 24\.20 \(but not 25\) or >= 26\.7; this is [\d.]+ \(.*\)\.\n$/)
  }
  for (const { code, stderr } of await Promise.all(taken.map((version) => pretend(version, 'linux')))) {
    assert.deepEqual([code, stderr], [0, ''])
  }
  const windows = await pretend('26.7.0', 'win32')
  assert.deepEqual([windows.code, windows.stdout], [1, ''])
  assert.match(windows.stderr, /^Polyloop runs on Linux and macOS, not on Windows[^\n]*\n$/)
})

test('cli: a reader that goes away is no failure', async () => {
  const child = start([bin, 'config', 'print'])
  child.stdout?.destroy() // before the process has come far enough to write
  assert.ok(child.stderr)
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  assert.deepEqual([code, stderr], [0, ''])
})

/** The frame with one command that waits; `takeOver` is what it does with signals. */
function startWaiting(takeOver: string): ChildProcess {
  const script = `
    import { runProcess } from ${JSON.stringify(join(root, 'src/cli/main.ts'))}
    const register = (command, context) => command.action(async () => {
      const open = setInterval(() => {}, 1000)
      ${takeOver}
      context.stdout.write('ready\\n')
    })
    process.argv = ['node', 'polyloop', 'wait']
    await runProcess([{ name: 'wait', summary: 'waits', load: async () => ({ register }) }])`
  return start(['--input-type=module', '--eval', script])
}

test('cli: Ctrl-C ends a tool cleanly with 0', async () => {
  const child = startWaiting('')
  child.stdout?.once('data', () => child.kill('SIGINT'))
  assert.deepEqual(await endOf(child), { code: 0, signal: null, stdout: 'ready\n', stderr: '' })
})

test('cli: a command may take SIGINT and SIGTERM over, and ends in its own way', async () => {
  const takeOver = `context.takeSignals((signal) => { context.stdout.write(signal); clearInterval(open); process.exitCode = 1 })`
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const child = startWaiting(takeOver)
    child.stdout?.once('data', () => child.kill(signal))
    assert.deepEqual(await endOf(child), { code: 1, signal: null, stdout: `ready\n${signal}`, stderr: '' })
  }
})
