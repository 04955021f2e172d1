// Each recipe of `polyloop hub-recipes`, in a shell as it is printed, against a real hub.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, test } from 'node:test'
import { RECIPES } from '../../src/cli/hub/recipe.ts'
import { HubServer, tokenOf } from '../harness/hub-server.ts'
import { waitUntil, within } from '../harness/wait.ts'

const bin = join(import.meta.dirname, '../../bin/polyloop.js')
const OUT_MS_MAX = 20_000

let hub: HubServer
const folder = mkdtempSync(join(tmpdir(), 'polyloop-hub-cli-'))

before(async () => {
  hub = await HubServer.start({ hub: { metricsInterval: '250ms' }, shards: 1 })
  // What a recipe calls: the CLI, told where this hub is behind everything else.
  const script = `#!/bin/sh\nexec "${process.execPath}" "${bin}" "$@" --url "${hub.url()}"\n`
  writeFileSync(join(folder, 'polyloop'), script)
  chmodSync(join(folder, 'polyloop'), 0o755)
})

after(async () => {
  await hub[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

interface Run {
  readonly out: string
  readonly err: string
  readonly status: number | null
}

/** A command line of a shell, until `isDone` with what it has printed; then Ctrl-C. */
async function shell(command: string, isDone: (out: string, err: string) => boolean): Promise<Run> {
  const env = {
    PATH: `${folder}${delimiter}${process.env.PATH}`,
    JWT: tokenOf({ sub: 'bot' }),
    ADMIN_JWT: tokenOf({ sub: 'admin' }),
  }
  // A group of its own: a terminal sends Ctrl-C to all of a pipe. The shell itself goes on, to tell how it ended.
  const child = spawn('sh', ['-c', `trap : INT; ${command}`], { cwd: folder, env, detached: true })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    out += part
  })
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    err += part
  })
  assert.ok(child.pid)
  const closed = once(child, 'close') as Promise<[number | null]>
  try {
    await waitUntil(`${command} prints what it should: ${out}${err}`, () => isDone(out, err), OUT_MS_MAX)
    process.kill(-child.pid, 'SIGINT')
    const [status] = await within('the end', closed, OUT_MS_MAX)
    return { out, err, status }
  } finally {
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
}

/** What the output of each recipe has to have, on stdout or among the progress. */
const SHOWN: Readonly<Record<number, readonly RegExp[]>> = {
  1: [/\[\d\d:\d\d:\d\d\.\d{3}\] Connected\n/, /Client ID: [0-9a-f-]{36}\n/, /User: None\n/],
  2: [/Subscribed to metrics\n/, /Denied: signals\n/, /\[metrics\] system_metrics\n {2}cpu_percent: [\d.]+\n/],
  3: [/^\{\n {2}"type": "connected",/, /\n {2}"channel": "metrics",\n/],
  4: [/^\{"type":"connected",/, /\n\{"channel":"metrics",[^\n]*\}\n/],
  5: [/User: bot\n/, /Subscribed to metrics, signals\n/],
  6: [/User: admin\n/, /Subscribed to metrics, signals, actions, logs, status, connections\n/],
  7: [/Sent \{"type":"subscribe","channels":\["metrics"\]\}\n/, /Received \{"channel":"metrics",/],
  8: [/^\{"channel":"metrics",/],
  9: [/\{"channel":"metrics",/],
  10: [/\[metrics\] system_metrics\n {2}[\s\S]*\n\n/],
}

test('hub-recipes: each of them runs as it is printed, until Ctrl-C', async () => {
  const one = async (index: number): Promise<void> => {
    const { title, command } = RECIPES[index] ?? assert.fail()
    const shown = SHOWN[index + 1] ?? assert.fail()
    const run = await shell(command, (out) => shown.every((pattern) => pattern.test(out)))
    // The end of a pipe is that of its last program: grep has no way to end well.
    assert.equal(run.status, command.includes('|') ? 130 : 0, `${title}: ${run.err}`)
    if (index + 1 === 8)
      assert.ok(
        run.out
          .trimEnd()
          .split('\n')
          .every((line) => line.startsWith('{"channel":"metrics",')),
      )
    if (index + 1 === 3) assert.match(run.err, /\] Subscribed to metrics\n/)
  }
  // Two at a time: as many as the machine has cores.
  const next = RECIPES.keys()
  await Promise.all(
    [1, 2].map(async () => {
      for (const index of next) await one(index)
    }),
  )
  const log = readFileSync(join(folder, 'events.log'), 'utf8').trimEnd().split('\n')
  assert.ok(log.some((line) => (JSON.parse(line) as { channel?: string }).channel === 'metrics'))
})
