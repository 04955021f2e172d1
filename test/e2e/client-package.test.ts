// The clients' packages: built, installed into an empty folder, and used from there as a stranger would.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { ScriptedHub } from '../../clients/typescript/test/scripted-hub.ts'
import { requirePython } from '../harness/python.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'polyloop-client-package-'))
const PATH = `${dirname(process.execPath)}:${process.env.PATH}`
const SLOW_MS = 120_000
const run = promisify(execFile)

const PROGRAM = `
import byDefault, { Channel, NeurographWSClient } from 'neurograph-ws-client'
const client = new NeurographWSClient({ url: process.argv[2] })
await client.connect()
console.log(byDefault === NeurographWSClient, Channel.METRICS, client.clientId)
await client.close()
`
const TYPED = `
import { Channel, NeurographWSClient, binaryHandler } from 'neurograph-ws-client'
const client: NeurographWSClient = new NeurographWSClient({ resume: false, WebSocket })
client.subscribe(Channel.METRICS, ({ data }) => data.cpu_percent.toFixed(1))
client.subscribeMultiple(['metrics', 'status'], ({ data }) => 'version' in data && data.version)
client.subscribe('prices', async ({ data, offset }) => [data.bid, offset?.toFixed()])
client.on('disconnected', ({ code, reconnecting }) => reconnecting && code.toFixed())
client.send(binaryHandler.createImageMessage(new Uint8Array(1), { width: 1, channel: 'signals' }))
const frame: { readonly type?: string } = await client.receive({ timeout: 1, events: true })
// @ts-expect-error there is no such event
client.on('conected', () => frame)
// @ts-expect-error the data of metrics are known
client.subscribe(Channel.METRICS, ({ data }) => data.cpu)
// @ts-expect-error options are known too
new NeurographWSClient({ reconnect: true })
`
const USE_OF_WHEEL = `
import importlib.metadata, zipfile, sys, neurograph_ws_client
print(importlib.metadata.version('neurograph-ws-client'), neurograph_ws_client.Channel.METRICS)
assert sys.argv[1] in neurograph_ws_client.__file__, neurograph_ws_client.__file__
names = zipfile.ZipFile(sys.argv[1]).namelist()
assert 'neurograph_ws_client/py.typed' in names and not any('test' in name for name in names), names
`

after(() => rmSync(folder, { recursive: true, force: true }))

test('client package, TypeScript: is built, installed and used', async (context) => {
  const npm = (...line: string[]): Promise<{ readonly stdout: string }> =>
    run('npm', line, { cwd: folder, env: { ...process.env, PATH }, timeout: SLOW_MS })
  const { stdout } = await npm('pack', join(root, 'clients/typescript'), '--json', '--pack-destination', folder)
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ readonly filename: string }]
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: 'module' }))
  await npm('install', '--offline', '--no-audit', '--no-fund', `./${filename}`)

  await context.test('brings what runs and what explains, and no other package', () => {
    const packages = globSync('node_modules/*/', { cwd: folder })
    assert.deepEqual(packages, ['node_modules/neurograph-ws-client'])
    const files = globSync('node_modules/neurograph-ws-client/**/*', { cwd: folder })
    assert.ok(files.length > 20)
    const wanted = /client$|dist$|\/(dist\/[a-z-]+\.(js|d\.ts|js\.map)|LICENSE|README\.md|package\.json)$/
    assert.deepEqual(
      files.filter((file) => !wanted.test(file)),
      [],
    )
  })

  await context.test('connects, and its program ends by itself', async () => {
    await using hub = await ScriptedHub.start()
    writeFileSync(join(folder, 'main.js'), PROGRAM)
    const [printed] = await Promise.all([
      run(process.execPath, ['main.js', hub.url], { cwd: folder, timeout: SLOW_MS }),
      hub.next().then((peer) => peer.welcome({ client_id: 'c-9' })),
    ])
    assert.equal(printed.stdout, 'true metrics c-9\n')
  })

  await context.test('its types resolve without those of Node.js', () => {
    const compilerOptions = { strict: true, noEmit: true, module: 'nodenext', target: 'es2022', types: [] }
    mkdirSync(join(folder, 'typed'))
    writeFileSync(join(folder, 'typed/main.ts'), TYPED)
    writeFileSync(join(folder, 'typed/tsconfig.json'), JSON.stringify({ compilerOptions, include: ['main.ts'] }))
    const line = [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'typed']
    const result = spawnSync(process.execPath, line, { cwd: folder, encoding: 'utf8', timeout: SLOW_MS })
    assert.deepEqual([result.status, result.stdout], [0, ''])
  })
})

test('client package, Python: a wheel is built, and is all that is needed beside websockets', async () => {
  // As pip would, but without fetching the builder each time.
  const { path, environment } = requirePython(['setuptools', 'wheel'])
  const [, packages = ''] = (environment.PYTHONPATH ?? '').split(':')
  // A copy, because builders leave things behind where they build.
  cpSync(join(root, 'clients/python'), join(folder, 'python'), { recursive: true })
  const build = 'import sys, setuptools.build_meta; print(setuptools.build_meta.build_wheel(sys.argv[1]))'
  const python = (program: string, argument: string, paths: string): Promise<{ readonly stdout: string }> => {
    const env = { PATH: process.env.PATH, PYTHONPATH: paths }
    return run(path, ['-c', program, argument], { cwd: join(folder, 'python'), env, timeout: SLOW_MS })
  }
  await python(build, folder, packages)
  rmSync(join(folder, 'python/neurograph_ws_client'), { recursive: true })
  const [wheel = ''] = globSync('neurograph_ws_client-*-py3-none-any.whl', { cwd: folder })
  const { stdout } = await python(USE_OF_WHEEL, join(folder, wheel), `${join(folder, wheel)}:${packages}`)
  assert.equal(stdout, '0.1.0 metrics\n')
})
