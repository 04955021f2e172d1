// The product as a process: starts the CLI on free ports, reads its log, asks its admin endpoint, and hurts it. One
// per test file where possible: a start costs about a second.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { HealthReport } from '../../src/observe/report.ts'
import { MetricPage } from './metric-page.ts'
import { waitUntil, within } from './wait.ts'

const ROOT = join(import.meta.dirname, '../..')
const READY_MS = 30_000
const EXIT_MS = 15_000
const RECOVERY_MS = 30_000
const PAGE_BYTES = 4096
/** Log lines a failed start shows. */
const LINES_SHOWN = 20

export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string; readonly level: string }
export type Settings = Readonly<Record<string, string | number | boolean>>

export interface ServerOptions {
  readonly shards?: number
  /** Of the product's own services those that run, beside the services of `modules`: the others cost a third of a start. Default: echo. */
  readonly services?: readonly string[]
  readonly settings?: Settings
  /** A configuration file that says everything; then neither shards nor free ports are set here. */
  readonly config?: string
  /** Files with services, relative to the checkout. */
  readonly modules?: readonly string[]
  /** Of the process, beside PATH. */
  readonly environment?: Readonly<Record<string, string>>
  /** Does not wait for `runtime.ready`. */
  readonly unready?: boolean
}

export interface Ended {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

const FREE_PORTS: Settings = {
  'admin.port': 0,
  'services.chat.http.port': 0,
  'services.chat.tcp.port': 0,
  'services.chat.udp.port': 0,
  'services.echo.tcp.port': 0,
  'services.echo.udp.port': 0,
  'services.echo.ws.port': 0,
  'services.rooms.tcp.port': 0,
  'services.hub.ws.port': 0,
  'services.session-proxy.ws.port': 0,
}

/** All of the product's own. */
export const ALL_SERVICES: readonly string[] = [
  ...new Set(Object.keys(FREE_PORTS).flatMap((key) => /^services\.([^.]+)/.exec(key)?.[1] ?? [])),
]

export class Server implements AsyncDisposable {
  readonly log: LogLine[] = []
  /** Lines that were not JSON, and what came on stderr: both should stay empty. */
  readonly stray: string[] = []
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  #ports = new Map<string, number>()

  constructor(child: ChildProcess) {
    assert.ok(child.stdout && child.stderr)
    this.#child = child
    createInterface({ input: child.stdout }).on('line', (line) => this.#onLine(line))
    createInterface({ input: child.stderr }).on('line', (line) => this.stray.push(line))
    this.ended = new Promise((resolve) => {
      child.once('close', (status, signal) => resolve({ status, signal }))
    })
  }

  get pid(): number {
    assert.ok(this.#child.pid)
    return this.#child.pid
  }

  /** The port of a listener such as `echo.tcp`, or of `admin`. */
  port(listener: string): number {
    const port = this.#ports.get(listener)
    assert.ok(port, `a listener ${listener}`)
    return port
  }

  url(listener: string, path = '/'): string {
    return `ws://127.0.0.1:${this.port(listener)}${path}`
  }

  async ready(): Promise<this> {
    const failed = this.ended.then(({ status }) => {
      const lines = [...this.log.slice(-LINES_SHOWN).map((line) => JSON.stringify(line)), ...this.stray]
      throw new Error(`the server ended with ${status}:\n${lines.join('\n')}`)
    })
    const ready = waitUntil('the server is ready', () => this.logged('runtime.ready').length > 0, READY_MS)
    await Promise.race([ready, failed])
    failed.catch(() => {}) // later ends are what tests are about
    this.learnPorts()
    return this
  }

  /** Takes the ports from the log; `ready` has done it. */
  learnPorts(): void {
    for (const line of this.log) {
      if (line.event === 'observe.admin_listening') this.#ports.set('admin', Number(line.port))
      if (line.event === 'net.listening') this.#ports.set(`${line.service}.${line.transport}`, Number(line.port))
    }
  }

  /** Lines of an event so far. */
  logged(event: string): LogLine[] {
    return this.log.filter((line) => line.event === event)
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port('admin')}${path}`, init)
  }

  post(path: string): Promise<Response> {
    return this.fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' } })
  }

  async health(): Promise<HealthReport> {
    return (await (await this.fetch('/health')).json()) as HealthReport
  }

  async metrics(): Promise<MetricPage> {
    return new MetricPage(await (await this.fetch('/metrics')).text())
  }

  /** Ends a shard's thread by the admin API. */
  async kill(shard: number): Promise<void> {
    assert.equal((await this.post(`/api/v1/shards/${shard}/restart`)).status, 202)
  }

  async isHealthy(): Promise<boolean> {
    return (await this.health()).status === 'healthy'
  }

  /** Waits until a shard has been replaced `restarts` times since the start and is ready. */
  async recovered(shard: number, restarts: number, deadlineMs = RECOVERY_MS): Promise<void> {
    // In this order: a restart is counted when the thread is dead, so `ready` after it is the successor's.
    const back = async (): Promise<boolean> => {
      const metrics = await this.metrics()
      if (metrics.sum('polyloop_shard_restarts_total', { shard: String(shard) }) < restarts) return false
      return (await this.health()).shards[shard]?.state === 'ready'
    }
    await waitUntil(`shard ${shard} is back after ${restarts} restarts`, back, deadlineMs)
  }

  /** Open file descriptors of the process. */
  descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length
  }

  /** Resident bytes. */
  rss(): number {
    return Number(readFileSync(`/proc/${this.pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** SIGTERM, and how the process ended. */
  stop(): Promise<Ended> {
    this.signal('SIGTERM')
    return within('the server ends', this.ended, EXIT_MS)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL')
    await this.ended
  }

  #onLine(line: string): void {
    try {
      this.log.push(JSON.parse(line) as LogLine)
    } catch {
      this.stray.push(line)
    }
  }
}

/** Starts `polyloop start` with every port free unless `settings` says otherwise; JSON log lines. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const modules = options.modules ?? []
  const { services = ['echo'] } = options
  const off = ALL_SERVICES.filter((name) => !services.includes(name)).map((name) => [`services.${name}.enabled`, false])
  const own =
    options.config === undefined
      ? { ...FREE_PORTS, ...Object.fromEntries(off), shards: options.shards ?? 2 }
      : { 'admin.port': 0 }
  const settings = {
    ...own,
    // Servers of several tests must not meet in the file that is the default.
    ...(options.config === undefined && options.settings?.['store.path'] === undefined
      ? { 'store.kind': 'memory' }
      : {}),
    ...(modules.length === 0 ? {} : { modules: modules.map((path) => join(ROOT, path)).join(',') }),
    ...options.settings,
  }
  const flags = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])
  if (options.config !== undefined) flags.push('--config', options.config)
  const child = spawn(process.execPath, [join(ROOT, 'bin/polyloop.js'), 'start', ...flags], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const server = new Server(child)
  if (options.unready === true) return server
  try {
    return await server.ready()
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}
