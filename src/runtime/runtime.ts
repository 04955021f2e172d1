// The runtime of one process: memory, threads and their supervision, the admin endpoint, and the way to shut down.
// Main never touches the data path.
import { availableParallelism } from 'node:os'
import { MessageChannel, Worker } from 'node:worker_threads'
import { shardCountOf } from '../config/automatic.ts'
import type { CoreConfig } from '../config/core-options.ts'
import { systemClock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import { THREAD, threadLabel, threadOfSeat } from '../lib/thread.ts'
import { selfTest } from '../net/handoff.ts'
import type { ListenerSpec, ListeningAddress } from '../net/listener-spec.ts'
import { type ActionOutcome, type AdminServer, createAdminServer } from '../observe/admin-server.ts'
import { Exposition } from '../observe/exposition.ts'
import { FAMILIES } from '../observe/family.ts'
import { FIGURE, FigureTable, figureOf } from '../observe/figure.ts'
import type { LogSink } from '../observe/log-sink.ts'
import { createLogger, errorFields, type Logger } from '../observe/logger.ts'
import { ThreadMetrics } from '../observe/metrics.ts'
import type { HealthReport, Readiness, RuntimeReport } from '../observe/report.ts'
import { Status } from '../observe/status.ts'
import { ThreadSampler } from '../observe/thread-sampler.ts'
import { SlotTable } from '../placement/slots.ts'
import { Doorbells } from '../ring/doorbell.ts'
import type { ServiceDefinition } from '../services/service.ts'
import { controlOf, moving, type Remote, serveControl, within } from './control.ts'
import { entryPoint } from './entry-point.ts'
import { HeapGuard } from './heap-guard.ts'
import { LinkBook } from './link-book.ts'
import { listenersOf } from './listener-list.ts'
import { OffloadPool } from './offload-pool.ts'
import { SerialCounters } from './serial-counter.ts'
import { Supervisor, type ThreadLife } from './supervisor.ts'
import type {
  AcceptorControl,
  MainControl,
  NoticeToMain,
  NoticeToThread,
  ShardControl,
  ThreadData,
} from './thread-data.ts'

/** Loading modules and starting services may take its time; more than this is a failure. */
const START_MS_MAX = 30_000
const SAMPLE_MS = 1_000
/** How long a shard with too full a heap may take to say good-bye. */
const REPLACE_GRACE_MS = 2_000
/**
 * Young generations, smaller than V8's own: it grows them in a burst of connections and keeps them. 10,000 idle
 * WebSockets cost 3.3 KiB each this way and 6.2 KiB by default, at the same CPU (bench/idle-memory.bench.ts).
 */
const YOUNG_MB = { acceptor: 4, shard: 16 } as const
/** Heap beyond `shard.heapLimit` at which V8 itself ends the thread: the guard acts long before. */
const HEAP_MARGIN = 1.1

export interface RuntimeOptions {
  readonly config: CoreConfig
  readonly services: readonly ServiceDefinition[]
  readonly version: string
  readonly sink: LogSink
  /** Names of the services to run; undefined: all that are enabled. */
  readonly only?: readonly string[] | undefined
}

interface Controls {
  readonly acceptor: Remote<AcceptorControl> | undefined
  readonly shards: Map<number, Remote<ShardControl>>
}

export class Runtime {
  readonly log: Logger
  readonly #options: RuntimeOptions
  readonly #config: CoreConfig
  readonly #shardCount: number
  readonly #listeners: readonly ListenerSpec[]
  readonly #table = FigureTable.allocate()
  readonly #slots = SlotTable.allocate()
  readonly #doorbells = Doorbells.allocate()
  readonly #serials = SerialCounters.allocate()
  readonly #links: LinkBook
  readonly #supervisor: Supervisor
  readonly #status: Status
  readonly #exposition: Exposition
  readonly #metrics = new ThreadMetrics()
  readonly #offload: OffloadPool
  readonly #heapGuard: HeapGuard
  readonly #shards = new Map<number, Remote<ShardControl>>()
  /** The ends of the shards' present lives. */
  readonly #exits = new Map<number, Promise<void>>()
  #acceptor: Remote<AcceptorControl> | undefined
  #rawHandoff = true
  #readiness: Readiness = 'starting'
  #addresses: readonly ListeningAddress[] = []
  #admin: AdminServer | undefined
  #timer: NodeJS.Timeout | undefined
  #drained: Promise<boolean> | undefined
  readonly #ended = Promise.withResolvers<boolean>()
  /** Whether a drain ended without dropping anything. */
  #clean = false

  constructor(options: RuntimeOptions) {
    const { config, services, version, sink } = options
    this.#options = options
    this.#config = config
    this.log = createLogger({ level: config.log.level, write: sink.write, base: { thread: 'main' } })
    this.#shardCount = shardCountOf(config.shards, availableParallelism())
    this.#listeners = listenersOf(services, (config as unknown as { services: unknown }).services, options.only)
    this.#slots.spread(this.#shardCount)
    this.#links = new LinkBook({ data: config.ring.capacity, control: config.ring.controlCapacity })
    this.#offload = new OffloadPool(config.offload.threads)
    const names = services.map(({ name }) => name)
    const table = this.#table
    this.#status = new Status({
      table,
      services: names,
      version,
      clock: systemClock,
      enabled: new Set(this.#listeners.map(({ serviceIndex }) => serviceIndex)),
      readiness: () => this.#readiness,
      listeners: () => this.#addresses,
    })
    this.#exposition = new Exposition({ table, services: names, version, sources: () => this.#sources() })
    this.#supervisor = new Supervisor({
      table,
      clock: systemClock,
      log: this.log,
      random: Math.random,
      limits: {
        backoffMinMs: config.shard.restartBackoff.min,
        backoffMaxMs: config.shard.restartBackoff.max,
        healthyAfterMs: config.shard.healthyAfter,
      },
      hangLimitMs: config.shard.hangLimit,
      spawn: (thread, generation) => this.#spawn(thread, generation),
      onReady: (thread) => this.#onReady(thread),
      onDown: (thread) => this.#onDown(thread),
    })
    this.#heapGuard = new HeapGuard(config.heap.replaceAt)
    this.#metrics.counter(FAMILIES.logDropped).read({}, () => sink.dropped)
  }

  /**
   * Starts everything; rejects, with everything stopped again, when a thread or listener cannot, and with
   * RUNTIME_CLOSED when `drain` or `close` came first.
   */
  async start(): Promise<void> {
    this.#table.begin(THREAD.main)
    this.#table.setState(THREAD.main, 'ready')
    try {
      this.#rawHandoff = this.#config.net.handoff === 'auto' && (await selfTest())
      if (!this.#rawHandoff) {
        this.log.warn('net.handoff_public', {
          reason: this.#config.net.handoff === 'public' ? 'configured' : 'self-test failed',
        })
        // The public way moves unread sockets only: the header would reach the service as data, and whoever sends one
        // would be taken for the proxy.
        const proxied = this.#listeners.find(({ proxyProtocol }) => proxyProtocol)
        if (proxied !== undefined) {
          const listener = `services.${proxied.service}.${proxied.transport}`
          throw new PolyloopError('HANDOFF_UNSUPPORTED', { listener, option: 'proxyProtocol' })
        }
      }
      this.#refuseIfClosed()
      const sampler = new ThreadSampler(this.#table.row(THREAD.main))
      this.#timer = setInterval(() => this.#onSecond(sampler), SAMPLE_MS)
      this.#admin = await this.#openAdmin()
      this.#refuseIfClosed()
      const shards = Array.from({ length: this.#shardCount }, (_, shard) => threadOfSeat(shard))
      await Promise.all([...shards, THREAD.acceptor].map((thread) => this.#supervisor.start(thread)))
      this.#refuseIfClosed()
      this.#readiness = 'ready'
      for (const address of this.#addresses) this.log.info('net.listening', { ...address })
      this.log.info('runtime.ready', { shards: this.#shardCount, pid: process.pid, version: this.#options.version })
    } catch (error) {
      // A drain that came during the start ends what there is, and says how that went.
      await (this.#drained ?? this.close())
      throw error
    }
  }

  /** Open sockets of all listeners; where port 0 was asked for, the port that was got. */
  get listeners(): readonly ListeningAddress[] {
    return this.#addresses
  }

  get adminAddresses(): readonly { readonly host: string; readonly port: number }[] {
    return this.#admin?.addresses ?? []
  }

  health(): HealthReport {
    return this.#status.health()
  }

  report(): RuntimeReport {
    return this.#status.runtime()
  }

  /** The page of /metrics. */
  metrics(): Promise<string> {
    return this.#exposition.text()
  }

  /** Ends a shard's thread as a crash would; it is restarted. */
  restart(shard: number): ActionOutcome {
    if (shard < 0 || shard >= this.#shardCount) return 'unknown_shard'
    this.#supervisor.restart(threadOfSeat(shard))
    return 'accepted'
  }

  /** Runs an exported function of a module in the offload pool. */
  offload(module: URL | string, task: string, argument: unknown): Promise<unknown> {
    return this.#offload.run(String(module), task, argument)
  }

  /**
   * Stops accepting, closes every connection in its protocol's way and waits up to `shutdown.grace`; then everything
   * ends. True when nothing had to be dropped.
   */
  drain(): Promise<boolean> {
    this.#drained ??= this.#drain()
    return this.#drained
  }

  /** Settles when the runtime has ended, whoever ended it: true when nothing had to be dropped. */
  get ended(): Promise<boolean> {
    return this.#ended.promise
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    this.#readiness = 'draining'
    clearInterval(this.#timer)
    await this.#supervisor.stop()
    await Promise.all([this.#admin?.close(), this.#offload.close()])
    this.#ended.resolve(this.#clean)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #refuseIfClosed(): void {
    if (this.#readiness === 'draining') throw new PolyloopError('RUNTIME_CLOSED')
  }

  async #drain(): Promise<boolean> {
    this.#readiness = 'draining'
    const graceMs = this.#config.shutdown.grace
    this.log.info('runtime.draining', { grace_ms: graceMs })
    this.#supervisor.retire()
    const timeoutMs = this.#config.control.timeout
    await this.#call('stop', 'acceptor', timeoutMs, this.#acceptor?.stop())
    const left = await Promise.all(
      [...this.#shards].map(([shard, control]) =>
        this.#call(
          'drain',
          `shard ${shard}`,
          graceMs + timeoutMs,
          // A shard that crashes meanwhile never answers.
          Promise.race([control.drain(1001, 'server shutting down', graceMs), this.#exits.get(shard)]),
        ),
      ),
    )
    const dropped = left.reduce<number>((sum, count) => sum + (count ?? 0), 0)
    // A shard that did not answer has dropped whatever it had.
    const clean = dropped === 0 && left.every((count) => count !== undefined)
    this.log.info('runtime.drained', { clean, connections_dropped: dropped })
    this.#clean = clean
    await this.close()
    return clean
  }

  #spawn(thread: number, generation: number): ThreadLife {
    const name: 'acceptor' | 'shard' = thread === THREAD.acceptor ? 'acceptor' : 'shard'
    const control = new MessageChannel()
    const main = new MessageChannel()
    const workerData: ThreadData = {
      thread,
      generation,
      config: this.#config,
      modules: this.#config.modules,
      listeners: this.#listenersNow(),
      shardCount: this.#shardCount,
      figures: this.#table.memory,
      slots: this.#slots.memory,
      doorbells: this.#doorbells,
      serials: this.#serials.memory,
      rawHandoff: this.#rawHandoff,
      control: control.port2,
      main: main.port2,
    }
    const { heapLimit } = this.#config.shard
    const worker = new Worker(entryPoint(name), {
      workerData,
      name: `polyloop-${threadLabel(thread)}`,
      transferList: [control.port2, main.port2],
      resourceLimits: {
        maxYoungGenerationSizeMb: YOUNG_MB[name],
        ...(name === 'shard' && heapLimit !== 'auto'
          ? { maxOldGenerationSizeMb: (heapLimit * HEAP_MARGIN) / 1024 ** 2 }
          : {}),
      },
    })
    const mainControl: MainControl = { offload: (module, task, argument) => this.#offload.run(module, task, argument) }
    serveControl(main.port1, mainControl)
    worker.on('message', (notice: NoticeToMain) => {
      if (notice.kind === 'log') this.#options.sink.write(notice.lines)
      else this.#links.want(thread, notice.peer)
    })
    let crash: unknown
    worker.on('error', (error) => {
      crash = error
      this.log.error('runtime.thread_crashed', { of: threadLabel(thread), ...errorFields(error) })
    })
    const { promise: exited, resolve } = Promise.withResolvers<void>()
    worker.on('exit', () => {
      control.port1.close()
      main.port1.close()
      resolve()
    })
    if (name === 'shard') this.#exits.set(thread - THREAD.firstShard, exited)
    const post = (notice: NoticeToThread, ports: readonly MessagePortLike[]): void => {
      worker.postMessage(notice, ports as never)
    }
    this.#links.up(thread, {
      link: (end, port) => post({ kind: 'link', end }, [port]),
      unlink: (peer) => post({ kind: 'unlink', peer }, []),
    })
    const started = name === 'acceptor' ? this.#startAcceptor(control.port1) : this.#startShard(thread, control.port1)
    const died = exited.then(() => {
      const reason = crash instanceof Error ? crash.message : 'it ended while it started'
      throw new PolyloopError('THREAD_FAILED', { thread: threadLabel(thread), reason }, { cause: crash })
    })
    const ready = within(START_MS_MAX, 'start', threadLabel(thread), Promise.race([started, died]))
    return { ready, exited, terminate: () => void worker.terminate() }
  }

  async #startAcceptor(port: MessageChannel['port1']): Promise<void> {
    const control = controlOf<AcceptorControl>(port)
    this.#addresses = await control.start()
    this.#acceptor = control
    for (const [shard, remote] of this.#shards) this.#connect(shard, remote, control)
  }

  async #startShard(thread: number, port: MessageChannel['port1']): Promise<void> {
    const control = controlOf<ShardControl>(port)
    await control.start()
    this.#shards.set(thread - THREAD.firstShard, control)
  }

  // In this order: the acceptor looks at the state of a shard, which the supervisor set just before.
  #onReady(thread: number): void {
    const shard = thread - THREAD.firstShard
    const control = this.#shards.get(shard)
    if (control !== undefined && this.#acceptor !== undefined) this.#connect(shard, control, this.#acceptor)
  }

  #connect(shard: number, to: Remote<ShardControl>, from: Remote<AcceptorControl>): void {
    // A hung one may come back: until then the acceptor sees its state and goes round it.
    const state = this.#table.state(threadOfSeat(shard))
    if (state !== 'ready' && state !== 'hung') return
    const { port1, port2 } = new MessageChannel()
    const timeoutMs = this.#config.control.timeout
    void this.#call('acceptFrom', `shard ${shard}`, timeoutMs, to.acceptFrom(moving(port2, [port2])))
    void this.#call('shardUp', 'acceptor', timeoutMs, from.shardUp(shard, moving(port1, [port1])))
  }

  #onDown(thread: number): void {
    this.#links.down(thread)
    if (thread === THREAD.acceptor) {
      this.#acceptor = undefined
      return
    }
    const shard = thread - THREAD.firstShard
    this.#shards.delete(shard)
    void this.#call('shardDown', 'acceptor', this.#config.control.timeout, this.#acceptor?.shardDown(shard))
  }

  /** A call whose failure is logged and answered with undefined: the supervisor deals with dead threads. */
  async #call<T>(call: string, thread: string, ms: number, answer: Promise<T> | undefined): Promise<T | undefined> {
    if (answer === undefined) return undefined
    try {
      return await within(ms, call, thread, answer)
    } catch (error) {
      this.log.warn('runtime.call_failed', { call, of: thread, ...errorFields(error) })
      return undefined
    }
  }

  /** Where port 0 was asked for, a restarted acceptor takes the port that its predecessor got. */
  #listenersNow(): readonly ListenerSpec[] {
    return this.#listeners.map((listener) => {
      const open = this.#addresses.find(
        (one) => one.service === listener.service && one.transport === listener.transport,
      )
      return open === undefined ? listener : { ...listener, port: open.port }
    })
  }

  *#sources(): Generator<{ thread: number; collect: () => Promise<Awaited<ReturnType<ShardControl['collect']>>> }> {
    yield { thread: THREAD.main, collect: () => this.#metrics.collect() }
    const { acceptor, shards }: Controls = { acceptor: this.#acceptor, shards: this.#shards }
    if (acceptor !== undefined) yield { thread: THREAD.acceptor, collect: () => acceptor.collect() }
    for (const [shard, control] of shards) yield { thread: threadOfSeat(shard), collect: () => control.collect() }
  }

  #openAdmin(): Promise<AdminServer> {
    const { host, port, token, hosts } = this.#config.admin
    return createAdminServer({
      host,
      port,
      ...(token === undefined ? {} : { token }),
      allowedHosts: hosts,
      log: this.log,
      view: {
        health: () => this.health(),
        readiness: () => this.#readiness,
        runtime: () => this.report(),
        metrics: () => this.metrics(),
        restart: (shard) => this.restart(shard),
        drain: () => {
          void this.drain()
          return 'accepted'
        },
        profile: async (shard, seconds) => this.#shards.get(shard)?.profile(seconds),
      },
    })
  }

  #onSecond(sampler: ThreadSampler): void {
    this.#table.beat(THREAD.main)
    sampler.sample()
    this.#status.sample()
    for (const [shard, control] of this.#shards) {
      const row = this.#table.row(threadOfSeat(shard))
      if (this.#table.state(threadOfSeat(shard)) !== 'ready') continue
      const share = figureOf(row, FIGURE.heapUsedBytes) / figureOf(row, FIGURE.heapLimitBytes)
      if (this.#heapGuard.isOver(shard, share)) void this.#replace(shard, control, share)
    }
  }

  /** Before V8 ends the whole process for the heap of one thread: that shard says good-bye and starts afresh. */
  async #replace(shard: number, control: Remote<ShardControl>, share: number): Promise<void> {
    const thread = threadOfSeat(shard)
    this.#table.setState(thread, 'draining')
    this.log.error('runtime.heap_full', { of: threadLabel(thread), share: Number(share.toFixed(3)) })
    const graceMs = REPLACE_GRACE_MS
    const answer = control.drain(1012, 'service restart', graceMs)
    await this.#call('drain', `shard ${shard}`, graceMs + this.#config.control.timeout, answer)
    this.#supervisor.restart(thread)
  }
}

type MessagePortLike = MessageChannel['port1']
