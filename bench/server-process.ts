// Servers under test as processes: ours, and the peers of bench/peer/. A peer prints one line when it is ready:
// {"port":n,"pids":[…]}.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pinned } from './machine.ts'

const ROOT = join(import.meta.dirname, '..')
const READY_MS_MAX = 30_000

/** Which program of bench/peer/. */
export type Peer =
  | 'ws-server'
  | 'cluster-server'
  | 'line-server'
  | 'line-insert'
  | 'ws-fan-out'
  | 'socket-io-server'
  | 'socket-io-cluster'
  | 'fastify-insert'
  | 'pipe-server'

export interface ServerProcess extends AsyncDisposable {
  readonly pids: readonly number[]
  /** WebSocket; of `line-server` and `line-insert` the lines, of `fastify-insert` HTTP. */
  readonly port: number
  /** Lines over TCP, or chat's packets, ours only. */
  readonly linePort: number
  /** A service's HTTP; of a peer its one port. The admin endpoint, ours only; else 0. */
  readonly httpPort: number
  readonly adminPort: number
}

type Ready = Omit<ServerProcess, keyof AsyncDisposable>

export interface PolyloopOptions {
  readonly shards?: number
  readonly settings?: Readonly<Record<string, string>>
  /** Default `echo`; another one comes from `module`, a file of bench/. */
  readonly service?: string
  readonly module?: string
}

/** The product with one service, on free ports. */
export function startPolyloop(options: PolyloopOptions = {}): Promise<ServerProcess> {
  const { service = 'echo', module } = options
  const settings = {
    shards: String(options.shards ?? 1),
    'admin.port': '0',
    'services.echo.tcp.port': '0',
    'services.echo.udp.port': '0',
    'services.echo.ws.port': '0',
    ...(module === undefined ? {} : { modules: join(import.meta.dirname, module) }),
    ...options.settings,
  }
  const flags = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])
  const ports = new Map<unknown, number>()
  return start([join(ROOT, 'bin/polyloop.js'), 'start', '--only', service, ...flags], (entry, pid) => {
    if (entry.event === 'net.listening') ports.set(entry.transport, Number(entry.port))
    if (entry.event === 'observe.admin_listening') ports.set('admin', Number(entry.port))
    if (entry.event !== 'runtime.ready') return undefined
    const [port = 0, linePort = 0, httpPort = 0, adminPort = 0] = ['ws', 'tcp', 'http', 'admin'].map((name) =>
      ports.get(name),
    )
    return { pids: [pid], port, linePort, httpPort, adminPort }
  })
}

export function startPeer(peer: Peer, ...line: readonly string[]): Promise<ServerProcess> {
  return start([join(import.meta.dirname, 'peer', `${peer}.ts`), ...line], (entry) => {
    const port = Number(entry.port)
    return { pids: entry.pids as readonly number[], port, linePort: port, httpPort: port, adminPort: 0 }
  })
}

async function start(
  line: readonly string[],
  readyOf: (entry: Readonly<Record<string, unknown>>, pid: number) => Ready | undefined,
): Promise<ServerProcess> {
  const [file = '', ...rest] = pinned('server', [process.execPath, ...line])
  const child: ChildProcess = spawn(file, rest, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  const { stdout, pid } = child
  if (stdout === null || pid === undefined) throw new Error(`${file} did not start`)
  const exited = once(child, 'exit')
  // Also when the bench fails before anybody owns the server.
  const killNow = (): void => void child.kill('SIGKILL')
  process.once('exit', killNow)
  const ready = Promise.withResolvers<Ready>()
  createInterface(stdout).on('line', (text) => {
    if (!text.startsWith('{')) return
    const found = readyOf(JSON.parse(text) as Record<string, unknown>, pid)
    if (found !== undefined) ready.resolve(found)
  })
  void exited.then(() => ready.reject(new Error(`${line[0]} ended before it was ready`)))
  const deadline = setTimeout(() => ready.reject(new Error(`${line[0]} is not ready`)), READY_MS_MAX)
  const stop = async (): Promise<void> => {
    process.off('exit', killNow)
    killNow()
    await exited
  }
  try {
    return { ...(await ready.promise), [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  } finally {
    clearTimeout(deadline)
  }
}
