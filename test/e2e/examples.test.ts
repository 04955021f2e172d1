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
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'
import { askWebSocket } from './web-socket-question.ts'

const root = join(import.meta.dirname, '../..')
const bin = join(root, 'bin/polyloop.js')

function readme(): string {
  return readFileSync(join(root, 'README.md'), 'utf8')
}

/** Free ports, and no file. */
const BESIDE_OTHERS = {
  POLYLOOP_ADMIN_PORT: '0',
  POLYLOOP_SERVICES_CHAT_HTTP_PORT: '0',
  POLYLOOP_SERVICES_CHAT_TCP_PORT: '0',
  POLYLOOP_SERVICES_CHAT_UDP_PORT: '0',
  POLYLOOP_SERVICES_SESSION_PROXY_WS_PORT: '0',
  POLYLOOP_STORE_KIND: 'memory',
}

function run(line: readonly string[], folder: string, environment: Readonly<Record<string, string>>): Promise<Server> {
  const child = spawn(process.execPath, line, {
    cwd: folder,
    env: { PATH: process.env.PATH, ...BESIDE_OTHERS, ...environment },
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
  // What is pending moves along with its connection.
  using tea = await LineClient.open({ port: server.port('reminder.tcp') })
  const told = tea.ask('4000 tea')
  assert.equal((await server.post('/api/v1/reload')).status, 202)
  await waitUntil('the reload is done', () => server.logged('runtime.move_done').length > 0, 30_000)
  const done = server.logged('runtime.move_done')[0]
  assert.deepEqual([done?.connections, done?.lingering], [1, 0])
  assert.equal(await told, 'tea')
  assert.equal((await server.stop()).status, 0)
})

test('examples: own-service runs in a program of its own', async () => {
  await using server = await run(['examples/own-service/main.ts'], root, FREE_PORTS)
  await assertReminds(server)
  server.signal('SIGINT')
  assert.equal((await within('the program ends', server.ended)).status, 0)
})

/** What a program of examples/ prints on stdout, without log lines. */
async function printed(line: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, line, {
    cwd: root,
    env: { PATH: process.env.PATH, POLYLOOP_ADMIN_PORT: '0', ...environment },
    timeout: 60_000,
  })
  const lines = stdout.trimEnd().split('\n')
  return lines.filter((one) => !one.startsWith('{'))
}

test('examples: counter keeps its values through a reload', async () => {
  assert.deepEqual(await printed(['examples/counter/main.ts']), [
    'ask: apples are 5',
    'refused: ACTOR_REFUSED, whole numbers only',
    'reload: accepted',
    'after it: apples are 5 and as many as were added meanwhile',
    'dates are 3',
  ])
})

test('examples: worker-pipeline finds all primes', async () => {
  assert.deepEqual(await printed(['examples/worker-pipeline/main.ts', '200000']), [
    '17984 primes below 200000, searched in 8 parts',
  ])
})

/** One who chats: every message as an object, in order. */
class Chatter implements Disposable {
  readonly #client: WebSocketClient

  constructor(client: WebSocketClient) {
    this.#client = client
  }

  static async join(server: Server, name: string, since?: object): Promise<{ chatter: Chatter; event: Chat }> {
    const chatter = new Chatter(await WebSocketClient.open(server.url('chat-room.ws')))
    chatter.say({ join: 'lobby', name, since })
    return { chatter, event: await chatter.next() }
  }

  say(message: object): void {
    this.#client.send(JSON.stringify(message))
  }

  async next(): Promise<Chat> {
    const message = await this.#client.next()
    assert.ok(message, 'the connection is open')
    return JSON.parse(message.data.toString()) as Chat
  }

  get closed(): Promise<{ readonly code: number }> {
    return this.#client.closed
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }
}

interface Chat {
  readonly [key: string]: unknown
}

async function alone(ada: Chatter): Promise<void> {
  await waitUntil('ada is alone', async () => {
    ada.say({ who: true })
    return JSON.stringify((await ada.next()).here) === '["ada"]'
  })
}

const JOINS_MAX = 30

/** Two on different shards: peers are placed by their ports, so somebody new is tried until it is so. */
async function joinApart(server: Server): Promise<{ ada: Chatter; bob: Chatter; epoch: unknown }> {
  const { chatter: ada } = await Chatter.join(server, 'ada')
  for (let join = 0; join < JOINS_MAX; join++) {
    const { chatter: bob, event } = await Chatter.join(server, 'bob')
    const page = await server.metrics()
    const shards = ['0', '1'].filter(
      (shard) => page.sum('polyloop_shard_connections', { shard, service: 'chat-room' }) > 0,
    )
    if (shards.length === 2) return { ada, bob, epoch: event.epoch }
    bob[Symbol.dispose]()
    await alone(ada)
  }
  throw new Error(`${JOINS_MAX} connections on one shard`)
}

test('examples: chat-room connects members of different shards, also through a reload', async () => {
  const line = [
    bin,
    'start',
    '--only',
    'chat-room',
    '--shards',
    '2',
    '--set',
    'modules=examples/chat-room/chat-room.ts',
  ]
  await using server = await run([...line, '--set', 'services.chat-room.ws.port=0'], root, {})
  const { ada, bob, epoch } = await joinApart(server)
  using _ada = ada
  ada.say({ say: 'hello' })
  bob.say({ say: 'hi' })
  const [one, two] = [await ada.next(), await ada.next()]
  assert.deepEqual([await bob.next(), await bob.next()], [one, two])
  assert.deepEqual([one.say, two.say].toSorted(), ['hello', 'hi'])
  assert.equal(Number(two.offset), Number(one.offset) + 1)
  bob.say({ who: true })
  assert.deepEqual(((await bob.next()).here as string[]).toSorted(), ['ada', 'bob'])
  bob.say({ say: 'psst', to: 'ada' })
  assert.deepEqual(await ada.next(), { from: 'bob', say: 'psst', whispered: true })

  assert.equal((await server.post('/api/v1/reload')).status, 202)
  await waitUntil('the reload is done', () => server.logged('runtime.move_done').length > 0, 30_000)
  bob.say({ say: 'still here' })
  const still = { from: 'bob', say: 'still here', offset: Number(two.offset) + 1 }
  assert.deepEqual([await ada.next(), await bob.next()], [still, still])

  // What was said meanwhile he gets when he is back, from the room and from those who wrote to him.
  bob[Symbol.dispose]()
  await alone(ada)
  ada.say({ say: 'where is bob?' })
  const { offset } = await ada.next()
  ada.say({ say: 'call me', to: 'bob' })
  const back = await Chatter.join(server, 'bob', { epoch, offset: still.offset })
  using again = back.chatter
  const heard = [back.event, await again.next(), await again.next()]
  assert.deepEqual(
    heard.filter(({ type }) => type === 'subscribed').map(({ recovered, missed }) => [recovered, missed]),
    [[true, 0]],
  )
  assert.deepEqual(
    heard.filter(({ type }) => type === undefined).toSorted((a, b) => String(a.say).localeCompare(String(b.say))),
    [
      { from: 'ada', say: 'call me', whispered: true },
      { from: 'ada', say: 'where is bob?', offset },
    ],
  )
  again.say({ join: 'lobby' }) // he has: it is not understood, and nothing happens
  using stranger = new Chatter(await WebSocketClient.open(server.url('chat-room.ws')))
  stranger.say({ say: 'let me in' })
  assert.equal((await stranger.closed).code, 4500)
  assert.equal((await server.stop()).status, 0)
  assert.deepEqual([(await ada.closed).code, (await again.closed).code], [1001, 1001])
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
  [/SendMessage/, /^\{"message_id":1,"success":true,"error":null\}\n$/],
  [/chats/, /"content":"hi"/],
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
      .replace(/8080/, String(server.port('chat.http')))
      .replace(/8081/, String(server.port('chat.tcp')))
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

test('examples: the actor in the README works as it stands there', async () => {
  const codes = ['visits.ts', 'main.ts'].map((name) => {
    const code = new RegExp(`\`\`\`ts\\n(// ${name}\\n[^\`]*(?:\`[^\`]+\`[^\`]*)*?)\`\`\``).exec(readme())?.[1]
    assert.ok(code !== undefined, `the README shows ${name}`)
    return { name, code }
  })
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-readme-'))
  try {
    const index = new URL('../../src/index.ts', import.meta.url).href
    for (const { name, code } of codes) writeFileSync(join(folder, name), code.replace("'polyloop'", `'${index}'`))
    const ports = ['TCP', 'UDP', 'WS'].map((transport) => [`POLYLOOP_SERVICES_ECHO_${transport}_PORT`, '0'])
    assert.deepEqual(await printed([join(folder, 'main.ts')], Object.fromEntries(ports)), ['2', '3'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
