// One shard: an event loop with the connections handed to it, the services' handlers, and the actors and topics of its
// slots. Everything that comes in is a turn of the loop.
import { setTimeout as pause } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import type { ActorServices } from '../actor/context.ts'
import type { ToThread } from '../actor/router.ts'
import { AssertionError } from '../lib/assert.ts'
import { PolyloopError } from '../lib/errors.ts'
import { SEATS_MAX, seatOfThread, shardOfSeat, THREAD, threadOfSeat } from '../lib/thread.ts'
import type { Connection } from '../net/connection.ts'
import { EventLoop } from '../net/event-loop.ts'
import type { Handover } from '../net/handover.ts'
import { decodeRoute, RECORD, routeBytes } from '../net/record.ts'
import { TokenBuckets } from '../net/token-buckets.ts'
import type { ActorsReport } from '../observe/actor-report.ts'
import { FAMILIES } from '../observe/family.ts'
import { type AcceptorLine, FIGURE, figureOf, heapShareOf } from '../observe/figure.ts'
import { errorFields, type Logger } from '../observe/logger.ts'
import { TurnGauge } from '../observe/turn-gauge.ts'
import { slotOf } from '../placement/slots.ts'
import { type Definitions, loadDefinitions, withOwn } from '../services/registry.ts'
import type { ServiceHandlers } from '../services/service.ts'
import { createNodeTimerHost } from '../timer/node-host.ts'
import { TimerWheel } from '../timer/wheel.ts'
import { ActorThread } from './actor-thread.ts'
import { tracksEnds } from './admission.ts'
import { CallClients, isCalled } from './call-clients.ts'
import { ConnectionMover, type MoveProgress } from './connection-mover.ts'
import { ConnectionPost } from './connection-post.ts'
import { controlOf, type Remote } from './control.ts'
import { DatagramReply } from './datagram-reply.ts'
import { EndReport } from './end-report.ts'
import { Intake } from './intake.ts'
import { limitsOf } from './limits.ts'
import { captureProfile } from './profile.ts'
import { rehearse } from './rehearsal.ts'
import { SessionBook } from './session-book.ts'
import { serviceContextOf, statusOf } from './shard-context.ts'
import { ShardMoves } from './shard-moves.ts'
import { ShardTopics } from './shard-topics.ts'
import { BEAT_MS, ThreadBase } from './thread-base.ts'
import type { MainControl, ShardControl, ThreadData } from './thread-data.ts'

/** Timers fired in one turn; the rest fire in the next. */
const TIMERS_PER_TURN = 1_000
/** Connections closed in one turn of a drain. */
const CLOSES_PER_TURN = 256
const DRAIN_POLL_MS = 20
/** Handler errors logged per second; all are counted. */
const ERRORS_LOGGED_PER_SECOND = 10
/** Actors passivated between two beats when the heap is too full. */
const PASSIVATED_PER_BEAT = 2_000
const BEATS_PER_SECOND = 1_000 / BEAT_MS

/** What there is once the modules are loaded. */
interface Started {
  readonly actors: ActorThread
  readonly topics: ShardTopics
  readonly post: ConnectionPost
  readonly mover: ConnectionMover
  readonly moves: ShardMoves
  readonly sessions: SessionBook
  readonly services: ActorServices
}

export class Shard implements ShardControl {
  readonly #base: ThreadBase
  readonly #data: ThreadData
  readonly #shard: number
  readonly #loop: EventLoop
  readonly #wheel: TimerWheel
  readonly #main: Remote<MainControl>
  readonly #intake: Intake
  readonly #handlers: ServiceHandlers[] = []
  readonly #datagrams: DatagramReply
  readonly #ends: EndReport | undefined
  readonly #calls: CallClients
  #started: Started | undefined
  /** How many acceptors there have been on each line: only the last one's handovers are acknowledged. */
  readonly #acceptors: [number, number] = [0, 0]
  #beats = 0
  #isRetiring = false
  /** It retires, and nothing was left on it from then on. */
  #emptySinceMs: number | undefined
  #draining: { readonly code: number; readonly reason: string; readonly graceMs: number } | undefined

  constructor(data: ThreadData, port: MessagePort) {
    this.#data = data
    this.#shard = shardOfSeat(seatOfThread(data.thread))
    this.#base = new ThreadBase(data, port, (source, kind, bytes, offset, length, view) =>
      this.#onRecord(source, kind, bytes, view, offset, offset + length),
    )
    this.#base.onNotice = (notice) => this.#inTurn(() => this.#onNotice(notice))
    this.#main = controlOf<MainControl>(data.main)
    const { clock, table, figures, metrics, log } = this.#base
    const host = createNodeTimerHost(() => this.#inTurn(() => wheel.advance(clock.nowMs(), TIMERS_PER_TURN)))
    // What a timer throws has no connection to end: the runtime's own are bugs, a service's is logged.
    const onError = (error: unknown): void => log.error('services.timer_failed', errorFields(error))
    const wheel = new TimerWheel({ clock, host, onError })
    this.#wheel = wheel
    const turn = metrics.histogram(FAMILIES.turn).cell({})
    const turns = new TurnGauge()
    const handlerErrors = log.limited('services.handler_failed', ERRORS_LOGGED_PER_SECOND)
    this.#calls = new CallClients({
      usesStore: data.storeUser !== 'nobody',
      usesBridge: data.usesBridge,
      ...(data.config.store.kind === 'redis'
        ? { commitSeconds: metrics.histogram(FAMILIES.storeCommit).cell({}) }
        : {}),
      config: data.config,
      generation: data.generation,
      clock,
      wheel,
      toThread: (thread, kind, head, headBytes, body, bodyStart, bodyBytes) =>
        this.#started?.actors.toThread(thread, kind, head, headBytes, body, bodyStart, bodyBytes) ?? false,
      onError: (error) => handlerErrors.error(errorFields(error)),
    })
    const rows = Array.from({ length: SEATS_MAX }, (_, seat) => table.row(threadOfSeat(seat)))
    const reportsEnds = tracksEnds(data.config.net.maxConnectionsPerAddress, data.listeners)
    this.#ends = reportsEnds ? new EndReport(this.#base.mesh) : undefined
    this.#loop = new EventLoop({
      clock,
      wheel,
      limits: limitsOf(data.config),
      figures,
      generation: data.generation,
      unsentBytesOfProcess: () => rows.reduce((sum, row) => sum + figureOf(row, FIGURE.unsentBytes), 0),
      onTurn: (seconds) => {
        turn.observe(seconds)
        turns.observe(seconds)
      },
      onHandlerError: (connection, error) => handlerErrors.error({ connection: connection.id, ...errorFields(error) }),
      onEnded: reportsEnds ? (id) => this.#ends?.ended(id) : undefined,
      onRemoved: (connection) => this.#onRemoved(connection),
      onMoved: {
        send: (connection, payload, isBinary) => this.#started?.post.send(refOf(connection), payload, isBinary),
        close: (connection, code, reason) => this.#started?.post.close(refOf(connection), code, reason),
      },
    })
    this.#base.onBeat = () => this.#onBeat(turns)
    this.#base.enterTurn = () => this.#loop.enterTurn()
    this.#base.leaveTurn = () => this.#loop.leaveTurn()
    this.#datagrams = new DatagramReply(this.#base.mesh)
    this.#intake = new Intake({ loop: this.#loop, listeners: data.listeners, handlers: this.#handlers, log })
  }

  async start(): Promise<void> {
    const definitions = await loadDefinitions(this.#data.modules)
    const all = this.#data.config as unknown as { services: Record<string, unknown> }
    const started = this.#build(withOwn(definitions, all.services))
    this.#started = started
    // Services may call them while they start.
    this.#base.openTo(THREAD.store, THREAD.bridge)
    const context = {
      shard: { id: this.#shard, count: this.#data.shardCount },
      log: this.#base.log,
      metrics: this.#base.metrics,
      clock: this.#base.clock,
      loop: this.#loop,
      post: started.post,
      system: started.actors.system,
      topics: started.topics,
      sessions: started.sessions,
      services: started.services,
      store: this.#calls.store,
      bridge: this.#calls.bridge,
      status: statusOf(this.#main, this.#data.config.control.timeout),
      buckets: new TokenBuckets(this.#data.buckets, this.#base.clock),
      watch: (result: unknown) => this.#watch(result),
    }
    for (const [index, service] of definitions.services.entries()) {
      const enabled = this.#data.listeners.some((listener) => listener.serviceIndex === index)
      const own = serviceContextOf(context, service.name, all.services[service.name])
      this.#handlers[index] = enabled ? await service.start(own) : {}
      started.topics.addEncoders(this.#handlers[index].topicEncoders ?? {})
    }
    for (const { service, serviceIndex, transport } of this.#data.listeners) {
      if (this.#handlers[serviceIndex]?.[transport as keyof ServiceHandlers] !== undefined) continue
      throw new PolyloopError('MODULE_INVALID', { service, problem: `it listens on ${transport} and has no handler` })
    }
    surviveRejections(this.#base.log)
    await rehearse({ base: this.#base, wheel: this.#wheel, loop: this.#loop, handlers: this.#handlers })
    this.#base.open()
  }

  #build({ actors: definitions, topics: topicDefinitions }: Definitions): Started {
    const { data, mesh, clock, log, metrics } = this.#base
    const toThread: ToThread = (thread, kind, head, headBytes, body, bodyStart, bodyBytes) =>
      actors.toThread(thread, kind, head, headBytes, body, bodyStart, bodyBytes)
    const services: ActorServices = {
      clock,
      log,
      send: (ref, payload, isBinary = typeof payload !== 'string') => post.send(ref, payload, isBinary),
      close: (ref, code = 1000, reason = '') => post.close(ref, code, reason),
      publish: (topic, message) => topics.publish(topic, message),
      offload: (module, task, argument) => this.#main.offload(String(module), task, argument),
      store: this.#calls.store,
      bridge: this.#calls.bridge,
    }
    const actors = new ActorThread({
      self: data.thread,
      shard: this.#shard,
      generation: data.generation,
      clock,
      wheel: this.#wheel,
      mesh,
      slots: data.slots,
      config: data.config,
      log,
      metrics,
      definitions,
      services,
      deliver: (kind, source, record) => {
        if (!topics.deliver(kind, source, record)) post.deliver(kind, record)
      },
      stays: (kind, _source, record) => (kind === RECORD.send || kind === RECORD.close) && post.here(kind, record),
      ended: (move) => moves.ended(move),
    })
    const topics = new ShardTopics({
      self: data.thread,
      clock,
      wheel: this.#wheel,
      loop: this.#loop,
      router: actors.router,
      toThread,
      config: data.config,
      generation: data.generation,
      generationOf: (thread) => this.#base.table.generation(thread),
      definitions: topicDefinitions,
      log,
      metrics,
      bridge: data.usesBridge ? this.#calls.bridge : undefined,
      onEvent: (connection, event) => this.#handlers[connection.service]?.topicEvent?.(connection as never, event),
    })
    const post = new ConnectionPost({
      self: data.thread,
      loop: this.#loop,
      router: actors.router,
      toThread,
    })
    const sessions = new SessionBook(post, actors.system)
    const migrations = metrics.counter(FAMILIES.migrations)
    const mover = new ConnectionMover({
      self: data.thread,
      loop: this.#loop,
      router: actors.router,
      post,
      portTo: (thread) => moves.portTo(thread),
      gates: actors.gates,
      toThread,
      thaw: (frozen, handle, unpack) => this.#intake.thaw(frozen, handle, unpack),
      pack: (connection) => ({ subscriptions: topics.freeze(connection), sessions: sessions.freeze(connection) }),
      unpack: (connection, luggage) => {
        sessions.thaw(connection, luggage.sessions)
        topics.thaw(connection, luggage.subscriptions)
      },
      onMoved: (id, to) => this.#ends?.moved(id, to),
      moved: migrations.cell({ result: 'ok' }),
      failed: migrations.cell({ result: 'failed' }),
      lingered: migrations.cell({ result: 'lingered' }),
      pause: metrics.histogram(FAMILIES.migrationPause).cell({}),
      log: log.limited('runtime.connection_stays', ERRORS_LOGGED_PER_SECOND),
    })
    const moves = new ShardMoves({
      self: data.thread,
      actors,
      topics,
      post,
      mover,
      sessions,
      tell: (notice) => this.#base.tell(notice),
      inTurn: (run) => this.#inTurn(run),
    })
    return { actors, topics, post, mover, moves, sessions, services }
  }

  acceptFrom(port: MessagePort, line: AcceptorLine): void {
    const acceptor = ++this.#acceptors[line]
    this.#base.table.setTaken(this.#data.thread, line, 0)
    port.on('message', (handover: Handover) => {
      this.#intake.take(handover)
      // What a dead acceptor had posted has the numbers of that one.
      if (acceptor === this.#acceptors[line]) this.#base.table.setTaken(this.#data.thread, line, handover.sequence)
      // Posted by the acceptor before it knew that this shard drains.
      if (this.#draining !== undefined) this.#sayGoodBye(this.#loop.get(handover.id))
    })
  }

  async drain(code: number, reason: string, graceMs: number): Promise<number> {
    this.#draining = { code, reason, graceMs }
    const cutOff = this.#loop.cutOff
    const until = this.#base.clock.nowMs() + graceMs
    await this.#closeAll()
    while (this.#intake.size + this.#loop.size > 0 && this.#base.clock.nowMs() < until) await pause(DRAIN_POLL_MS)
    return this.#intake.size + this.#loop.size + this.#loop.cutOff - cutOff
  }

  async stop(graceMs: number): Promise<void> {
    const until = this.#base.clock.nowMs() + graceMs
    for (const handlers of this.#handlers) {
      const failed = (error: unknown): void => this.#base.log.error('services.stop_failed', errorFields(error))
      await Promise.resolve()
        .then(() => handlers.stop?.())
        .catch(failed)
    }
    // Actors get the chance to save their state.
    const system = this.#started?.actors.system
    while (system?.stop() === false && this.#base.clock.nowMs() < until) await pause(DRAIN_POLL_MS)
  }

  collect(): ReturnType<ShardControl['collect']> {
    return this.#base.metrics.collect()
  }

  actors(): ActorsReport {
    return this.#started?.actors.report() ?? { kinds: [], deepest: [], dead_letters: {} }
  }

  profile(seconds: number): Promise<string> {
    return captureProfile(seconds)
  }

  // ---- moves ------------------------------------------------------------------------------------------------------

  slotsWith(connections: number): Uint16Array {
    const router = this.#started?.actors.router
    const slots = new Set<number>()
    let left = connections
    for (const connection of this.#loop.connections()) {
      if (left <= 0) break
      const slot = slotOf(connection.session)
      if (!connection.movable || router?.ownerOf(slot) !== this.#data.thread) continue
      slots.add(slot)
      left--
    }
    return Uint16Array.from(slots)
  }

  retire(): void {
    this.#isRetiring = true
    this.#started?.mover.retire()
  }

  progress(): MoveProgress {
    const progress = this.#started?.mover.progress ?? { moved: 0, failed: 0, remaining: 0, lingering: 0 }
    // A socket that is not a connection yet will be one and go then, or end.
    const lingering = progress.lingering + this.#intake.size
    // What left waits elsewhere until all it had sent from here has arrived.
    const remaining = progress.remaining + (this.#started?.actors.openBarriers ?? 0)
    return { ...progress, lingering, remaining: remaining + this.#awaited(remaining + lingering) }
  }

  /** Answers that this thread waits for at its end: the connections they are for have moved, and get them from here. */
  #awaited(left: number): number {
    if (!this.#isRetiring || left > 0) {
      this.#emptySinceMs = undefined
      return 0
    }
    const nowMs = this.#base.clock.nowMs()
    this.#emptySinceMs ??= nowMs
    const { askTimeout } = this.#data.config.actor
    if (nowMs - this.#emptySinceMs > Math.max(askTimeout, this.#calls.waitMsMax)) return 0
    return (this.#started?.actors.system.asks ?? 0) + this.#calls.waiting
  }

  #onNotice(notice: Parameters<ThreadBase['onNotice']>[0]): void {
    const { kind } = notice
    if (kind === 'acceptor') this.#ends?.reportTo(notice.thread)
    // All others come when the modules are loaded.
    if (this.#started === undefined) return
    const { moves, actors } = this.#started
    if (kind === 'peer') moves.addPort(notice.thread, notice.port)
    else if (kind === 'expect') moves.expect(notice.move)
    else if (kind === 'shift') moves.shift(notice)
    else if (kind === 'down' && isCalled(notice.thread)) {
      actors.threadDown(notice.thread)
      this.#calls.threadDown(notice.thread)
    } else if (kind === 'down') moves.threadDown(notice)
  }

  // ---- connections ------------------------------------------------------------------------------------------------

  /** Paced, so that a drain of many connections does not stop the loop for those that still talk. */
  async #closeAll(): Promise<void> {
    this.#intake.close()
    let left = CLOSES_PER_TURN
    for (const connection of this.#loop.connections()) {
      this.#sayGoodBye(connection)
      if (--left > 0) continue
      left = CLOSES_PER_TURN
      await pause(0)
    }
  }

  /** A connection that is still in its handshake has none to say: it is closed with the others of its kind. */
  #sayGoodBye(connection: Connection | undefined): void {
    const draining = this.#draining
    if (draining === undefined) return
    const { code, reason, graceMs } = draining
    const close = (): void => connection?.closeFor(code === 1012 ? 'restart' : 'shutdown', code, reason)
    if (connection === undefined) this.#intake.close()
    else if (connection.settled || connection.finishesItself) close()
    // Answers on their way to it come first, and nothing more is read meanwhile.
    else connection.drain(graceMs, close)
  }

  #onRemoved(connection: Connection): void {
    this.#started?.topics.closed(connection)
    this.#started?.sessions.closed(connection)
    this.#started?.post.ended(connection.id, connection.session)
  }

  // ---- what comes in ----------------------------------------------------------------------------------------------

  #inTurn(run: () => void): void {
    this.#loop.enterTurn()
    try {
      run()
    } finally {
      this.#loop.leaveTurn()
    }
  }

  #onRecord(source: number, kind: number, bytes: Buffer, view: DataView, start: number, end: number): void {
    const started = this.#started
    if (started === undefined) return
    const { actors, topics, post, mover } = started
    try {
      if (actors.receiveHere(kind, source, bytes, view, start, end)) return
      const record = bytes.subarray(start, end)
      if (kind === RECORD.datagram) this.#onDatagram(source, record)
      else if (actors.receive(kind, source, record) || this.#calls.receive(kind, record)) {
        // Done.
      } else if (kind === RECORD.sendHere || kind === RECORD.closeHere) post.here(kind, record)
      else if (kind === RECORD.holding) mover.holding(record.readUInt32LE(0))
      else if (!topics.receive(kind, source, record)) actors.router.receive(kind, source, record)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      this.#base.log.error('services.handler_failed', errorFields(error))
    }
  }

  #onDatagram(source: number, record: Buffer): void {
    const route = decodeRoute(record, 0)
    const listener = this.#data.listeners[route.listener]
    const handler = listener === undefined ? undefined : this.#handlers[listener.serviceIndex]?.udp
    if (listener === undefined || handler === undefined) return
    this.#loop.countMessage(listener.serviceIndex, 0)
    const answered = (): void => this.#loop.countMessage(listener.serviceIndex, 1)
    const peer = this.#datagrams.peerOf(source, route, answered)
    this.#watch(handler.datagram(peer, record.subarray(routeBytes(record, 0))))
  }

  /** What an asynchronous callback without a connection rejects with is logged. */
  #watch(result: unknown): void {
    if (result instanceof Promise) {
      result.catch((error: unknown) => this.#base.log.error('services.handler_failed', errorFields(error)))
    }
  }

  #onBeat(turns: TurnGauge): void {
    const { figures, data } = this.#base
    const { stats } = this.#wheel
    figures[FIGURE.timersScheduled] = stats.scheduled
    figures[FIGURE.timersFired] = stats.fired
    figures[FIGURE.timersLate] = stats.late
    figures[FIGURE.unsentBytes] = this.#loop.unsentBytes
    // A beat is a quarter of a second, too short for a p99.
    if (++this.#beats % BEATS_PER_SECOND === 0) figures[FIGURE.turnP99Seconds] = turns.takeP99Seconds()
    if (this.#started === undefined) return
    const { system } = this.#started.actors
    figures[FIGURE.actors] = system.size
    figures[FIGURE.mailboxDepth] = system.takeDepthMax()
    const share = heapShareOf(figures)
    system.refusing = this.#draining !== undefined || share >= data.config.heap.refuseAt
    if (share >= data.config.heap.passivateAt) system.passivateIdle(PASSIVATED_PER_BEAT)
  }
}

function refOf({ id, session }: Connection): { slot: number; id: number; shard: number } {
  return { slot: slotOf(session), id, shard: 0 }
}

/** A promise of user code that nobody waits for must not end everybody's connections; a broken invariant still does. */
function surviveRejections(log: Logger): void {
  process.on('unhandledRejection', (error) => {
    if (error instanceof AssertionError) throw error
    log.error('services.rejection_unhandled', errorFields(error))
  })
}
