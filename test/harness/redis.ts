// Real Redis servers: standalone, with Sentinels and a replica, and as a Cluster; on free ports of the loopback, in folders
// of their own, ended by their process ids. Redis is found in the PATH, or installed where that is possible, or one line
// says what to do.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireProgram } from './program.ts'
import { waitUntil } from './wait.ts'

const START_ATTEMPTS = 5
const PARENT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
/** A node of a Cluster also listens here, counted from its port. */
const BUS_PORT_OFFSET = 10_000
const BUS_PORT_MAX = 65_535
/** Of Redis: 7.2. */
const WAITAOF_SINCE = 702
export const SENTINEL_MASTER = 'mymaster'

let binary: string | undefined
const children = new Set<ChildProcess>()

// A test that fails badly, or is ended from outside, leaves no server behind.
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const [signal, number] of [
  ['SIGTERM', 15],
  ['SIGINT', 2],
] as const) {
  process.once(signal, () => process.exit(128 + number))
}

export interface RedisOptions {
  /** Fixed, to come back where it was. Default: a free one. */
  readonly port?: number
  /** Lines of redis.conf. */
  readonly config?: readonly string[]
  readonly password?: string
  readonly isSentinel?: boolean
  /** Default: the redis-server that is found first. */
  readonly program?: string
}

/** One redis-server process, which can be killed, frozen and started again. */
export class RedisServer implements AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly #options: RedisOptions
  readonly #folder = mkdtempSync(join(PARENT, 'polyloop-redis-'))
  #process: ChildProcess | undefined

  constructor(port: number, options: RedisOptions) {
    this.port = port
    this.#options = options
    this.url = `redis://${options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`}127.0.0.1:${port}`
  }

  get isRunning(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** False: somebody else has the port. */
  async tryStart(): Promise<boolean> {
    const { config = [], password, isSentinel = false } = this.#options
    const lines = [`port ${this.port}`, 'bind 127.0.0.1', `dir ${this.#folder}`, 'daemonize no', 'protected-mode no']
    if (!isSentinel) lines.push('save ""', 'appendonly no', 'repl-diskless-sync-delay 0')
    if (password !== undefined) lines.push(`requirepass ${password}`)
    const file = join(this.#folder, 'redis.conf')
    // Sentinels and nodes of a Cluster write into their files: only the first start makes them.
    if (!existsSync(file)) await writeFile(file, `${[...lines, ...config].join('\n')}\n`)
    const program = this.#options.program ?? findRedis()
    const child = spawn(program, isSentinel ? [file, '--sentinel'] : [file], { stdio: 'ignore' })
    this.#process = child
    children.add(child)
    child.once('exit', () => children.delete(child))
    return waitUntil(
      `redis-server on ${this.port}`,
      async () => (child.exitCode !== null ? 'ended' : (await this.#answers()) ? 'up' : false),
      20_000,
    ).then((state) => state === 'up')
  }

  async start(): Promise<void> {
    assert.ok(await this.tryStart(), `redis-server starts on ${this.port}`)
  }

  /** One command in a connection of its own; the reply as redis-cli prints it. */
  command(...args: readonly (string | number)[]): string {
    const auth = this.#options.password === undefined ? [] : ['-a', this.#options.password, '--no-auth-warning']
    const cli = findRedis().replace(/server$/, 'cli')
    const given = ['-h', '127.0.0.1', '-p', String(this.port), ...auth, ...args.map(String)]
    const { stdout, status } = spawnSync(cli, given, { encoding: 'utf8', timeout: 10_000 })
    assert.equal(status, 0, `redis-cli ${args.join(' ')}`)
    return stdout.trim()
  }

  /** Of INFO. */
  info(field: string): string {
    return new RegExp(`^${field}:(.*)$`, 'm').exec(this.command('INFO', 'everything'))?.[1]?.trim() ?? ''
  }

  /** Stops it where it is: connections stay open, and nothing answers. */
  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  /** At once, as a crash would. */
  async kill(): Promise<void> {
    const child = this.#process
    if (child === undefined || !this.isRunning) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  // A frozen server's port takes connections too: only an answer counts. Any, also that it wants a password.
  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1')
      const end = (isUp: boolean): void => {
        socket.destroy()
        resolve(isUp)
      }
      socket.once('error', () => end(false))
      socket.once('data', (data) => end(!data.toString().startsWith('-LOADING')))
      socket.setTimeout(1_000, () => end(false))
      socket.write('PING\r\n')
    })
  }
}

/** A standalone server. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    const server = new RedisServer(options.port ?? (await freePort()), options)
    if (await server.tryStart()) return server
    await server[Symbol.asyncDispose]()
  }
  throw new Error('redis-server does not start')
}

/** A master, its replica, and Sentinels that agree within about a second that the master is gone. */
export interface SentinelSetup extends AsyncDisposable {
  readonly url: string
  readonly servers: readonly [RedisServer, RedisServer]
  readonly sentinels: readonly RedisServer[]
  /** The server that the Sentinels take for the master. */
  master(): RedisServer
}

export interface SentinelOptions {
  /** Of the servers, and of the Sentinels. */
  readonly password?: string
  readonly sentinelPassword?: string
}

export async function startSentinel({ password, sentinelPassword }: SentinelOptions = {}): Promise<SentinelSetup> {
  const stack = new AsyncDisposableStack()
  const secret = password === undefined ? {} : { password }
  const auth = password === undefined ? [] : [`masterauth ${password}`]
  const master = stack.use(await startRedis({ ...secret, config: auth }))
  const replica = stack.use(await startRedis({ ...secret, config: [...auth, `replicaof 127.0.0.1 ${master.port}`] }))
  await waitUntil('the replica follows', () => replica.info('master_link_status') === 'up', 20_000)
  const config = [
    `sentinel monitor ${SENTINEL_MASTER} 127.0.0.1 ${master.port} 2`,
    `sentinel down-after-milliseconds ${SENTINEL_MASTER} 700`,
    `sentinel failover-timeout ${SENTINEL_MASTER} 3000`,
  ]
  if (password !== undefined) config.push(`sentinel auth-pass ${SENTINEL_MASTER} ${password}`)
  if (sentinelPassword !== undefined) config.push(`sentinel sentinel-pass ${sentinelPassword}`)
  const sentinels: RedisServer[] = []
  for (let count = 0; count < 3; count++) {
    const own = sentinelPassword === undefined ? {} : { password: sentinelPassword }
    sentinels.push(stack.use(await startRedis({ ...own, isSentinel: true, config })))
  }
  const [first] = sentinels as [RedisServer]
  const known = (): string => first.command('SENTINEL', 'MASTER', SENTINEL_MASTER)
  await waitUntil('Sentinels know each other', () => /num-other-sentinels\n2\n/.test(known()), 20_000)
  await waitUntil('and the replica', () => /num-slaves\n1\n/.test(known()), 20_000)
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')
  const user = password === undefined ? '' : `:${password}@`
  const query = sentinelPassword === undefined ? '' : `?sentinelPassword=${sentinelPassword}`
  return {
    url: `redis+sentinel://${user}${hosts}/${SENTINEL_MASTER}${query}`,
    servers: [master, replica],
    sentinels,
    master: () => {
      const [, port] = first.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', SENTINEL_MASTER).split('\n')
      return Number(port) === master.port ? master : replica
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** A Cluster of masters, each with its share of the slots, and perhaps a replica of the first. */
export interface ClusterSetup extends AsyncDisposable {
  readonly url: string
  readonly servers: readonly RedisServer[]
}

export async function startCluster(masters = 3, replicasOfFirst = 0): Promise<ClusterSetup> {
  const stack = new AsyncDisposableStack()
  const config = ['cluster-enabled yes', 'cluster-config-file nodes.conf', 'cluster-node-timeout 1500']
  const servers: RedisServer[] = []
  for (let count = 0; count < masters + replicasOfFirst; count++) {
    servers.push(stack.use(await startRedis({ port: await freePort(BUS_PORT_OFFSET), config })))
  }
  const [first] = servers as [RedisServer]
  for (const [index, server] of servers.entries()) {
    // Two with the same epoch would have to agree on another one first, and until then nobody is elected.
    server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    if (index > 0) first.command('CLUSTER', 'MEET', '127.0.0.1', server.port)
    if (index >= masters) continue
    const start = Math.floor((index * 16_384) / masters)
    const end = Math.floor(((index + 1) * 16_384) / masters) - 1
    server.command('CLUSTER', 'ADDSLOTSRANGE', start, end)
  }
  const knowsAll = (server: RedisServer): boolean =>
    server.command('CLUSTER', 'INFO').includes(`cluster_known_nodes:${servers.length}`)
  await waitUntil('nodes of the Cluster know each other', () => servers.every(knowsAll), 20_000)
  const firstId = first.command('CLUSTER', 'MYID')
  for (const server of servers.slice(masters)) {
    await waitUntil('a replica knows its master', () => server.command('CLUSTER', 'NODES').includes(firstId))
    server.command('CLUSTER', 'REPLICATE', firstId)
  }
  const isUp = (server: RedisServer): boolean => server.command('CLUSTER', 'INFO').includes('cluster_state:ok')
  await waitUntil('the Cluster is up', () => servers.every(isUp), 20_000)
  for (const replica of servers.slice(masters)) {
    await waitUntil('the replica follows', () => replica.info('master_link_status') === 'up', 20_000)
  }
  const hosts = servers.map(({ port }) => `127.0.0.1:${port}`).join(',')
  return { url: `redis+cluster://${hosts}`, servers, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** A server with WAITAOF (Redis 7.2, or Valkey), if the PATH has one. */
export function findWaitAof(): string | undefined {
  return ['redis-server', 'valkey-server'].find((name) => {
    const [, major, minor] =
      /v=(\d+)\.(\d+)/.exec(spawnSync(name, ['--version'], { encoding: 'utf8' }).stdout ?? '') ?? []
    return Number(major) * 100 + Number(minor) >= WAITAOF_SINCE
  })
}

/** Free, and the one `alsoFree` above it too. */
export async function freePort(alsoFree = 0): Promise<number> {
  for (;;) {
    const port = await listenOnce(0)
    if (port === undefined) continue
    if (alsoFree === 0) return port
    // The upper half of the range has no room above it.
    const low = port > BUS_PORT_MAX - alsoFree ? port - 2 * alsoFree : port
    if ((await listenOnce(low)) !== undefined && (await listenOnce(low + alsoFree)) !== undefined) return low
  }
}

function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
    })
  })
}

function findRedis(): string {
  binary ??= requireProgram({ names: ['redis-server'], aptPackage: 'redis-server', what: 'Redis 7 or later' })
  return binary
}
