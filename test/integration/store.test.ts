// The store's thread in the runtime: who gets one, what a drain and a reload do to it, and what actors save in it.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type CreateRuntimeOptions, createRuntime, type Runtime } from '../../src/index.ts'
import { CapturedLog } from '../harness/captured-log.ts'
import { LineClient } from '../harness/line-client.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { account, notebook } from '../harness/store-service.ts'
import { waitUntil } from '../harness/wait.ts'

const SERVICE = new URL('../harness/store-service.ts', import.meta.url)
const ECHO = {
  'admin.port': 0,
  'services.chat.http.port': 0,
  'services.chat.tcp.port': 0,
  'services.chat.udp.port': 0,
  'services.echo.tcp.port': 0,
  'services.echo.udp.port': 0,
  'services.echo.ws.port': 0,
  'services.hub.enabled': false,
  'services.session-proxy.enabled': false,
}
const KEEPER = { ...ECHO, 'services.keeper.tcp.port': 0 }
/** Unawaited saves of one actor; all actors together stay below `store.calls`. */
const SAVES = 150
const ACTORS = 24

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'polyloop-store-'))

  get file(): string {
    return join(this.path, 'deeper', 'still', 'store.db')
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true })
  }
}

function start(folder: Folder, options: CreateRuntimeOptions = {}): Promise<Runtime> {
  return createRuntime({
    shards: 2,
    modules: [SERVICE],
    only: ['keeper'],
    logStream: new CapturedLog(),
    ...options,
    settings: { ...(options.settings ?? KEEPER), 'store.path': folder.file },
  })
}

function threadsOf(runtime: Runtime): string[] {
  return runtime.report().threads.map(({ name, state }) => `${name} ${state}`)
}

async function openKeeper(runtime: Runtime): Promise<LineClient> {
  const port = runtime.listeners.find(({ service }) => service === 'keeper')?.port ?? 0
  return LineClient.open({ port })
}

async function moved(runtime: Runtime): Promise<void> {
  await waitUntil('the move is over', () => runtime.report().migration.state === 'idle', 30_000)
}

test('store: nobody needs one: there is no thread, and no file', async () => {
  using folder = new Folder()
  await using runtime = await start(folder, { modules: [], only: ['echo'], settings: ECHO })
  assert.deepEqual(threadsOf(runtime), ['main ready', 'acceptor ready'])
  assert.equal(await runtime.drain(), true)
  assert.equal(existsSync(join(folder.path, 'deeper')), false)
})

test('store: for actors alone the file is made when the first of them saves', async () => {
  using folder = new Folder()
  await using runtime = await start(folder, { only: ['echo'] })
  assert.deepEqual(threadsOf(runtime), ['main ready', 'acceptor ready', 'bridge ready', 'store ready'])
  assert.equal(existsSync(folder.file), false)
  assert.equal(await runtime.actor(account, 'ada').ask('add', 1), 1)
  assert.ok(existsSync(folder.file))
})

test('store: a service calls it while it starts, and its figures are the thread’s own', async () => {
  using folder = new Folder()
  await using runtime = await start(folder)
  assert.ok(existsSync(folder.file))
  using client = await openKeeper(runtime)
  assert.equal(await client.ask('1 started'), '1 undefined')
  assert.equal(await client.ask('2 put before early bird'), '2 ok')
  assert.equal(await client.ask('3 get before'), '3 early bird')
  const page = new MetricPage(await runtime.metrics())
  assert.equal(page.sum('polyloop_store_batch_size_count', { shard: 'store' }), 1)
  assert.equal(page.sum('polyloop_store_commit_seconds_count', { shard: 'store' }), 1)
  assert.equal(page.sum('polyloop_shard_up', { shard: 'store' }), 1)
  // The second time it is there when the service starts; also in a shard that is started again.
  runtime.restart(0)
  await waitUntil('a shard that found it', async () => {
    if (runtime.health().status !== 'healthy') return false
    using again = await openKeeper(runtime)
    return (await again.ask('4 started')) === '4 early bird'
  })
})

test('store: a drain ends when all that was saved is on disk, the journal written back', async () => {
  using folder = new Folder()
  {
    await using runtime = await start(folder)
    for (let actor = 0; actor < ACTORS; actor++) {
      assert.equal(await runtime.actor(account, `${actor}`).ask('run', SAVES), SAVES)
      assert.equal(await runtime.actor(notebook, `${actor}`).ask('note', actor), actor)
    }
    assert.equal(await runtime.drain(), true)
  }
  assert.equal(statSync(`${folder.file}-wal`, { throwIfNoEntry: false })?.size ?? 0, 0)
  await using runtime = await start(folder)
  for (let actor = 0; actor < ACTORS; actor++) {
    assert.equal(await runtime.actor(account, `${actor}`).ask('read'), SAVES)
    assert.equal(await runtime.actor(notebook, `${actor}`).ask('noted'), actor)
  }
})

test('store: a reload that changes it is refused; one that needs it first starts it', async () => {
  using folder = new Folder()
  const configFile = join(folder.path, 'config.yaml')
  const write = (text: string): void => writeFileSync(configFile, text)
  write('{}')
  await using runtime = await start(folder, { configFile, modules: [], only: ['echo'], settings: ECHO })
  assert.deepEqual(threadsOf(runtime), ['main ready', 'acceptor ready'])

  write('store: { timeout: 1s }')
  const refused = await runtime.reload()
  assert.deepEqual([refused.outcome, /changed: store/.test(JSON.stringify(refused))], ['refused', true])

  write(`modules: [${SERVICE.pathname}]\nservices: { keeper: { tcp: { port: 0 } } }\n`)
  assert.equal((await runtime.reload()).outcome, 'accepted')
  await moved(runtime)
  assert.equal(await runtime.actor(account, 'ada').ask('add', 3), 3)
  assert.ok(threadsOf(runtime).includes('store ready'))
})
