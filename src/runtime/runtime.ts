// The runtime of one process: memory, threads and their supervision, the admin endpoint, and the ways to move and to
// shut down. Main never touches the data path.
import { availableParallelism } from 'node:os'
import type { ActorRef } from '../actor/actor-ref.ts'
import type { ActorDefinition, Handlers } from '../actor/definition.ts'
import type { TopicDefinition } from '../actor/topic-definition.ts'
import { ABSENT_BRIDGE } from '../bridge/absent-bridge.ts'
import type { Bridge } from '../bridge/bridge.ts'
import { bridgeKindOf, shardCountOf } from '../config/automatic.ts'
import { systemClock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import { isAcceptor, seatOfThread, shardOfSeat, THREAD, threadLabel, threadOfSeat } from '../lib/thread.ts'
import type { ListeningAddress } from '../net/listener-spec.ts'
import { TokenBuckets } from '../net/token-buckets.ts'
import { type ActionAnswer, type ActionOutcome, type AdminServer, createAdminServer } from '../observe/admin-server.ts'
import { Exposition, type MetricSource } from '../observe/exposition.ts'
import { FAMILIES } from '../observe/family.ts'
import { FigureTable, heapShareOf } from '../observe/figure.ts'
import type { LogSink } from '../observe/log-sink.ts'
import { createLogger, type Logger } from '../observe/logger.ts'
import { ThreadMetrics } from '../observe/metrics.ts'
import type { HealthReport, Readiness, RuntimeReport } from '../observe/report.ts'
import { Status } from '../observe/status.ts'
import { ThreadSampler } from '../observe/thread-sampler.ts'
import { SlotTable } from '../placement/slots.ts'
import { Doorbells } from '../ring/doorbell.ts'
import type { ServiceDefinition } from '../services/service.ts'
import { AcceptorLine } from './acceptor-line.ts'
import { adminRoutesOf, adminViewOf, hostContextOf } from './admin-view.ts'
import { Balancer } from './balancer.ts'
import { isCalled } from './call-clients.ts'
import { CallLines } from './call-lines.ts'
import { type ConfigSource, type FreshConfig, LAYOUT, readFresh } from './fresh-config.ts'
import { chooseHandoff } from './handoff-choice.ts'
import { HeapGuard } from './heap-guard.ts'
import { HostParts } from './host-parts.ts'
import { LinkBook } from './link-book.ts'
import { listenersOf, withPorts } from './listener-list.ts'
import { MainActors } from './main-actors.ts'
import { OffloadPool } from './offload-pool.ts'
import { Rollout } from './rollout.ts'
import { SeatBook } from './seat-book.ts'
import { SerialCounters } from './serial-counter.ts'
import { ShardLine } from './shard-line.ts'
import { SlotMover } from './slot-mover.ts'
import { type Down, Supervisor } from './supervisor.ts'
import { threadNeedOf } from './thread-need.ts'
import { ThreadSpawner } from './thread-spawner.ts'

const SAMPLE_MS = 1_000
/** How long a shard with too full a heap may take to say good-bye, when no other can take over. */
const REPLACE_GRACE_MS = 2_000

export interface RuntimeOptions {
  readonly config: FreshConfig['config']
  readonly services: readonly ServiceDefinition[]
  /** The modules'. */
  readonly actors?: readonly ActorDefinition[] | undefined
  readonly topics?: readonly TopicDefinition[] | undefined
  readonly version: string
  readonly sink: LogSink
  /** Names of the services to run; undefined: all that are enabled. */
  readonly only?: readonly string[] | undefined
  /** Where to read the configuration again for a reload; undefined: there is no reload. */
  readonly source?: ConfigSource | undefined
}

export class Runtime {
  readonly log: Logger
  readonly #options: RuntimeOptions
  /** What threads run with that start now. */
  #fresh: FreshConfig
  readonly #table = FigureTable.allocate()
  readonly #slots = SlotTable.allocate()
  readonly #book: SeatBook
  readonly #spawner: ThreadSpawner
  readonly #mover: SlotMover
  readonly #rollout: Rollout
  readonly #balancer: Balancer
  readonly #actors: MainActors
  readonly #links: LinkBook
  readonly #supervisor: Supervisor
  readonly #status: Status
  readonly #exposition: Exposition
  readonly #metrics = new ThreadMetrics()
  readonly #offload: OffloadPool
  readonly #heapGuard: HeapGuard
  readonly #shards: ShardLine
  readonly #acceptor: AcceptorLine
  readonly #calls: CallLines
  readonly #hosts: HostParts
  #readiness: Readiness = 'starting'
  #admin: AdminServer | undefined
  #timer: NodeJS.Timeout | undefined
  #drained: Promise<boolean> | undefined
  readonly #ended = Promise.withResolvers<boolean>()
  #clean = false

  constructor(options: RuntimeOptions) {
    const { config, services, version, sink } = options
    this.#options = options
    this.log = createLogger({ level: config.log.level, write: sink.write, base: { thread: 'main' } })
    const shardCount = shardCountOf(config.shards, availableParallelism())
    const names = services.map(({ name }) => name)
    const listeners = listenersOf(services, (config as unknown as { services: unknown }).services, options.only)
    const need = threadNeedOf({
      services,
      listeners,
      actors: options.actors ?? [],
      modules: config.modules,
      hasHosts: bridgeKindOf(config.bridge) === 'redis',
      sharesStore: config.store.kind === 'redis',
    })
    this.#fresh = { config, listeners, ...need, services: names, layout: LAYOUT }
    this.#slots.spread(shardCount)
    this.#book = new SeatBook(shardCount)
    this.#links = new LinkBook({ data: config.ring.capacity, control: config.ring.controlCapacity })
    this.#offload = new OffloadPool(config.offload.threads)
    const table = this.#table
    const doorbells = Doorbells.allocate()
    this.#spawner = new ThreadSpawner(
      {
        memory: {
          figures: table.memory,
          slots: this.#slots.memory,
          doorbells,
          serials: SerialCounters.allocate().memory,
          buckets: TokenBuckets.allocate(),
        },
        links: this.#links,
        log: this.log,
        write: sink.write,
        main: {
          offload: (module, task, argument) => this.#offload.run(module, task, argument),
          health: () => this.health(),
          readiness: () => this.#readiness,
          metrics: (prefix) => this.#exposition.text(prefix),
        },
        onNotice: (thread, notice) => {
          if (notice.kind === 'bridge') this.#calls.bridgeState = notice
          else if (notice.kind === 'expecting') this.#mover.expecting(notice.move)
          else this.#mover.ended(notice.move, thread)
        },
        start: async (thread, port) => {
          if (isCalled(thread)) await this.#calls.begin(thread, port)
          else if (!isAcceptor(thread)) await this.#shards.begin(seatOfThread(thread), port)
          else {
            await this.#acceptor.start(thread, port)
            const { plan } = this.#spawner
            this.#spawner.plan = { ...plan, listeners: withPorts(plan.listeners, this.#acceptor.addresses) }
          }
        },
      },
      this.#fresh,
    )
    this.#spawner.shardCount = shardCount
    const line = {
      table,
      log: this.log,
      spawner: this.#spawner,
      supervisor: () => this.#supervisor,
      timeoutMs: () => this.#fresh.config.control.timeout,
    }
    this.#shards = new ShardLine({ ...line, acceptor: () => this.#acceptor, exposition: () => this.#exposition })
    this.#acceptor = new AcceptorLine({ ...line, shards: this.#shards.controls })
    this.#calls = new CallLines(line)
    this.#actors = new MainActors({
      clock: systemClock,
      config,
      doorbells,
      slots: this.#slots.memory,
      links: this.#links,
      log: this.log,
      metrics: this.#metrics,
      topics: options.topics ?? [],
      offload: (module, task, argument) => this.#offload.run(module, task, argument),
    })
    this.#mover = new SlotMover({
      slots: this.#slots,
      log: this.log,
      threads: () => this.#spawner.shards,
      notify: (thread, notice, ports) => this.#spawner.notify(thread, notice, ports),
      main: this.#actors,
    })
    this.#rollout = new Rollout({
      book: this.#book,
      mover: this.#mover,
      slots: this.#slots,
      clock: systemClock,
      log: this.log,
      graceMs: () => this.#fresh.config.reload.grace,
      renew: () => this.#renew(),
      renewAcceptor: () => this.#acceptor.renew(),
      setShardCount: (count) => {
        this.#spawner.shardCount = count
      },
      threads: this.#shards,
    })
    this.#balancer = new Balancer({
      table,
      book: this.#book,
      config: () => this.#fresh.config.rebalance,
      migrate: (from, to, connections) => this.#rollout.migrate(from, to, connections),
    })
    this.#status = new Status({
      table,
      services: names,
      version,
      clock: systemClock,
      enabled: new Set(listeners.map(({ serviceIndex }) => serviceIndex)),
      readiness: () => this.#readiness,
      listeners: () => this.#acceptor.addresses,
      bridge: () => this.#calls.bridgeState && { ...this.#calls.bridgeState, kind: bridgeKindOf(config.bridge) },
      migration: () => this.#rollout.report,
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
      spawn: (thread, generation) => this.#spawner.spawn(thread, generation),
      onReady: (thread) => this.#shards.ready(seatOfThread(thread)),
      onDown: (thread, how) => this.#onDown(thread, how),
      settled: (thread) => this.#mover.settled(thread),
    })
    this.#heapGuard = new HeapGuard(config.heap.replaceAt)
    this.#hosts = new HostParts({ services, log: this.log, sink, context: hostContextOf(this, version) })
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
      this.#spawner.rawHandoff = await chooseHandoff(this.#fresh, this.log)
      this.#refuseIfClosed()
      const sampler = new ThreadSampler(this.#table.row(THREAD.main))
      this.#timer = setInterval(() => this.#onSecond(sampler), SAMPLE_MS)
      this.#admin = await this.#openAdmin()
      this.#refuseIfClosed()
      // First: services may call them while they start.
      await this.#calls.start(this.#fresh)
      this.#refuseIfClosed()
      const shards = this.#book.seats.map(threadOfSeat)
      await Promise.all([...shards, THREAD.acceptor].map((thread) => this.#supervisor.start(thread)))
      this.#refuseIfClosed()
      this.#readiness = 'ready'
      this.#spawner.rehearses = false
      for (const address of this.#acceptor.addresses) this.log.info('net.listening', { ...address })
      this.#hosts.start(this.#fresh)
      this.log.info('runtime.ready', { shards: this.#book.count, pid: process.pid, version: this.#options.version })
    } catch (error) {
      // A drain that came during the start ends what there is, and says how that went.
      await (this.#drained ?? this.close())
      throw error
    }
  }

  /** Open sockets of all listeners, with the ports they got. */
  get listeners(): readonly ListeningAddress[] {
    return this.#acceptor.addresses
  }

  get adminAddresses(): AdminServer['addresses'] {
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

  /** A reference to an actor, on whatever shard; its definition must be in one of `modules`. */
  actor<State, H extends Handlers<State>>(definition: ActorDefinition<State, H>, id: string): ActorRef<H> {
    return this.#actors.actor(definition, id)
  }

  /** Publishes to the topic `kind.id`. False: refused, the way there is full. */
  publish(topic: string, message: unknown): boolean {
    return this.#actors.publish(topic, message)
  }

  /** Ends a shard's thread as a crash would; it is restarted. */
  restart(shard: number): ActionOutcome {
    const seat = this.#book.seatOf(shard)
    if (seat === undefined) return 'unknown_shard'
    this.#supervisor.restart(threadOfSeat(seat))
    return 'accepted'
  }

  /** New threads, with configuration and modules as they are now, take over from all shards. Nobody is disconnected. */
  async reload(): Promise<ActionAnswer> {
    return this.#readiness === 'ready' ? this.#rollout.reload() : { outcome: 'refused', reason: this.#readiness }
  }

  /** Another number of shards takes over. */
  setShards(count: number): ActionAnswer {
    return this.#readiness === 'ready'
      ? this.#rollout.setShards(count)
      : { outcome: 'refused', reason: this.#readiness }
  }

  /** So many connections of a shard go to another, with the actors and topics of their slots. */
  migrate(from: number, to: number, connections: number): ActionAnswer {
    if (this.#readiness !== 'ready') return { outcome: 'refused', reason: this.#readiness }
    return this.#rollout.migrate(from, to, connections)
  }

  /**
   * Channels, keys and logs that all hosts of the cluster share. Every call fails with BRIDGE_ABSENT where no service uses
   * it and there are no modules. A listener that throws is logged.
   */
  get bridge(): Bridge {
    return this.#calls.bridgeState === undefined ? ABSENT_BRIDGE : this.#actors.bridge
  }

  /** Runs an exported function of a module in the offload pool. */
  offload(module: URL | string, task: string, argument: unknown): Promise<unknown> {
    return this.#offload.run(String(module), task, argument)
  }

  /**
   * Stops accepting, closes every connection in its protocol's way and waits up to `shutdown.grace`; then store and
   * bridge finish, and everything ends. True when nothing had to be dropped.
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
    this.#hosts.stop()
    this.#rollout.close()
    this.#actors.close()
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
    const graceMs = this.#fresh.config.shutdown.grace
    this.log.info('runtime.draining', { grace_ms: graceMs })
    const isSaid = this.#hosts.draining()
    this.#supervisor.retire()
    this.#rollout.close()
    await Promise.all([isSaid, this.#acceptor.stop()])
    const untilMs = systemClock.nowMs() + graceMs
    const seats = [...this.#shards.controls.keys()]
    const left = await Promise.all(seats.map((seat) => this.#shards.close(seat, 1001, 'server shutting down', graceMs)))
    const dropped = left.reduce<number>((sum, count) => sum + (count ?? 0), 0)
    const leftMs = (): number => Math.max(0, untilMs - systemClock.nowMs())
    // Not before: connections of other shards waited for the answers of these actors.
    await Promise.all(seats.map((seat) => this.#shards.stop(seat, leftMs())))
    // Last of all: actors saved what they had, and said good-bye to other hosts.
    const isDone = await this.#calls.close(leftMs())
    await this.#actors.settled()
    // A shard that did not answer has dropped whatever it had.
    const clean = isDone && dropped === 0 && left.every((count) => count !== undefined)
    this.log.info('runtime.drained', { clean, connections_dropped: dropped })
    this.#clean = clean
    await this.close()
    return clean
  }

  #onDown(thread: number, { isLast, isPlanned }: Down): void {
    // Otherwise its successor goes on with its rings.
    if (isLast) this.#links.gone(thread)
    else this.#links.down(thread)
    if (isAcceptor(thread)) {
      this.#acceptor.down(thread)
      return
    }
    const notice = { kind: 'down', thread, planned: isPlanned } as const
    this.#spawner.notifyShards(notice)
    this.#actors.threadDown(thread)
    if (isCalled(thread)) {
      this.#calls.down(thread)
      return
    }
    this.#spawner.notify(THREAD.bridge, notice)
    const seat = seatOfThread(thread)
    this.#shards.down(seat)
    this.#mover.threadDown(thread)
    this.#acceptor.shardDown(seat)
  }

  async #renew(): Promise<{ shards: number }> {
    const { source } = this.#options
    if (source === undefined) throw new PolyloopError('RELOAD_REFUSED', { reason: 'there is nothing to read again' })
    const fresh = await readFresh(source, this.#fresh)
    // Before the first actor, or module, there was no need for them.
    await this.#calls.start(fresh)
    this.#fresh = fresh
    this.#spawner.plan = { ...fresh, listeners: withPorts(fresh.listeners, this.#acceptor.addresses) }
    const { shards } = fresh.config
    // A number that was set while running stays, unless the configuration names another one now.
    const isSame = shards === this.#options.config.shards
    return { shards: isSame ? this.#book.count : shardCountOf(shards, availableParallelism()) }
  }

  *#sources(): Generator<MetricSource> {
    yield { thread: THREAD.main, collect: () => this.#metrics.collect() }
    const { control: acceptor, thread } = this.#acceptor
    if (acceptor !== undefined) yield { thread, collect: () => acceptor.collect() }
    yield* this.#calls.sources
    for (const [seat, control] of this.#shards.controls)
      yield { thread: threadOfSeat(seat), collect: () => control.collect() }
  }

  #openAdmin(): Promise<AdminServer> {
    const { host, port, token, hosts } = this.#fresh.config.admin
    return createAdminServer({
      host,
      port,
      ...(token === undefined ? {} : { token }),
      allowedHosts: hosts,
      log: this.log,
      onAction: this.#hosts.acted,
      routes: adminRoutesOf(
        this.#options.services,
        this.#fresh,
        this.#fresh.usesBridge ? this.#actors.bridge : ABSENT_BRIDGE,
      ),
      view: adminViewOf(this, {
        readiness: () => this.#readiness,
        shards: () => this.#shards.controls.values(),
        shardOf: (shard) => this.#shards.controls.get(this.#book.seatOf(shard) ?? -1),
      }),
    })
  }

  #onSecond(sampler: ThreadSampler): void {
    this.#table.beat(THREAD.main)
    this.#actors.look(systemClock.nowMs())
    sampler.sample()
    this.#status.sample()
    if (this.#readiness !== 'ready') return
    this.#balancer.look()
    for (const seat of this.#book.seats) {
      if (this.#table.state(threadOfSeat(seat)) !== 'ready') continue
      const share = heapShareOf(this.#table.row(threadOfSeat(seat)))
      if (this.#heapGuard.isOver(seat, share)) void this.#replace(seat, share)
    }
  }

  /**
   * Before V8 ends the whole process for the heap of one thread: a fresh one takes over. If that is not possible now, or
   * the last one came to this within a minute, so that it is the state itself that is too large, the shard says good-bye.
   */
  async #replace(seat: number, share: number): Promise<void> {
    const thread = threadOfSeat(seat)
    this.log.error('runtime.heap_full', { of: threadLabel(thread), share: Number(share.toFixed(3)) })
    if (this.#heapGuard.mayMove(shardOfSeat(seat), systemClock.nowMs()) && this.#rollout.replace(shardOfSeat(seat)))
      return
    this.#table.setState(thread, 'draining')
    await this.#shards.drain(seat, REPLACE_GRACE_MS)
    this.#supervisor.restart(thread)
  }
}
