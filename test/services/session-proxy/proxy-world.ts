// The session proxy on two event loops between which connections move, with the real local bridge behind its real client
// and host. Sockets are real, time is manual. The engine can be held, or made to fail, where a server would be.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import type { Bridge, BridgeOperation } from '../../../src/bridge/bridge.ts'
import { BridgeClient } from '../../../src/bridge/bridge-client.ts'
import {
  type BridgeCall,
  type BridgeEngine,
  type BridgeErrorCode,
  type BridgeEvents,
  type CallOutcome,
  failed,
} from '../../../src/bridge/bridge-engine.ts'
import { BRIDGE_LIMITS, BridgeHost } from '../../../src/bridge/bridge-host.ts'
import { LocalEngine } from '../../../src/bridge/local-engine.ts'
import { PolyloopError } from '../../../src/lib/errors.ts'
import type { Connection } from '../../../src/net/connection.ts'
import type { NetLimits } from '../../../src/net/event-loop.ts'
import type { UpgradeAnswer, UpgradeRequest, WebSocketHandler } from '../../../src/net/handler.ts'
import { OPCODE } from '../../../src/net/websocket/frame.ts'
import { createLogger, type Logger } from '../../../src/observe/logger.ts'
import { ThreadMetrics } from '../../../src/observe/metrics.ts'
import type { SessionProxyConfig } from '../../../src/services/session-proxy/config.ts'
import { ProxyEdge } from '../../../src/services/session-proxy/edge.ts'
import type { Member } from '../../../src/services/session-proxy/member.ts'
import { webSocketHandler } from '../../../src/services/session-proxy/web-socket.ts'
import { recordOf } from '../../harness/record.ts'
import { turn, until } from '../../net/loop-fixture.ts'
import { MoveFixture } from '../../net/move-fixture.ts'
import { encodeClientFrame } from '../../net/websocket/client-frame.ts'
import { decodeServerFrames, type ServerFrame } from '../../net/websocket/server-frame.ts'

export const CONFIG: SessionProxyConfig = {
  authMode: 'redis',
  jwt: { secret: undefined },
  authGrace: 10_800_000,
  authTimeout: 5_000,
  browserAuth: false,
  maxMessageBytes: 1024 * 1024,
  gapNotice: true,
  pingInterval: 15_000,
  pingTimeout: 30_000,
}
export const TOKEN = 'my-token'
export const SESSION = 'test-session-123'
const BRIDGE_TIMEOUT_MS = 60_000
const THREADS = [8, 9] as const

type Side = 0 | 1

export interface WorldOptions {
  readonly config?: Partial<SessionProxyConfig>
  readonly limits?: Partial<NetLimits>
  readonly deflate?: boolean
}

/** An engine that a test can hold up: what it holds is done, or answered, when the test says so. */
class HeldEngine implements BridgeEngine {
  readonly held = new Set<BridgeOperation | 'subscribe'>()
  readonly failing = new Map<BridgeOperation | 'subscribe', BridgeErrorCode>()
  readonly ran: BridgeCall[] = []
  readonly #engine: LocalEngine
  #waiting: (() => void)[] = []

  constructor(engine: LocalEngine) {
    this.#engine = engine
  }

  get figures(): BridgeEngine['figures'] {
    return this.#engine.figures
  }

  async run(call: BridgeCall): Promise<CallOutcome> {
    this.ran.push(call)
    await this.#gate(call.operation)
    const code = this.failing.get(call.operation)
    return code === undefined ? this.#engine.run(call) : failed(code, 'as the test says')
  }

  async subscribe(channel: string): Promise<void> {
    await this.#gate('subscribe')
    const code = this.failing.get('subscribe')
    if (code !== undefined) throw new PolyloopError(code, { operation: 'subscribe', problem: 'as the test says' })
    await this.#engine.subscribe(channel)
  }

  unsubscribe(channel: string): void {
    this.#engine.unsubscribe(channel)
  }

  release(): void {
    this.held.clear()
    const waiting = this.#waiting
    this.#waiting = []
    for (const go of waiting) go()
  }

  close(): Promise<void> {
    return this.#engine.close()
  }

  #gate(operation: BridgeOperation | 'subscribe'): Promise<void> {
    if (!this.held.has(operation)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

/** What a client got. */
export class Frames {
  ended = false
  #bytes = Buffer.alloc(0)

  constructor(client: Socket) {
    client.on('data', (data: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, data])
    })
    client.on('end', () => {
      this.ended = true
    })
  }

  get bytes(): number {
    return this.#bytes.length
  }

  get all(): ServerFrame[] {
    return decodeServerFrames(this.#bytes)
  }

  get texts(): string[] {
    return this.all.filter(({ opcode }) => opcode === OPCODE.text).map(({ payload }) => payload.toString())
  }

  get pings(): number {
    return this.all.filter(({ opcode }) => opcode === OPCODE.ping).length
  }

  /** Code and reason of the close frame. */
  get close(): string | undefined {
    const found = this.all.find(({ opcode }) => opcode === OPCODE.close)
    return found && `${found.payload.readUInt16BE(0)} ${found.payload.subarray(2)}`.trim()
  }
}

export interface Client {
  readonly socket: Socket
  readonly frames: Frames
  readonly id: number
}

export class ProxyWorld implements AsyncDisposable {
  readonly net: MoveFixture
  readonly metrics = [new ThreadMetrics(), new ThreadMetrics()] as const
  readonly edges: readonly [ProxyEdge, ProxyEdge]
  readonly handlers: readonly [WebSocketHandler<Member>, WebSocketHandler<Member>]
  readonly log: string[] = []
  readonly config: SessionProxyConfig
  /** A client beside the proxy's, such as a backend has. */
  readonly backend: Bridge
  #engine: HeldEngine | undefined
  #events: BridgeEvents | undefined
  readonly #host: BridgeHost
  readonly #clients: readonly BridgeClient[]
  readonly #records: (() => void)[] = []
  #isPumping = false
  /** What the next connection opens with. */
  #accepted: unknown

  constructor({ config, limits = {}, deflate = false }: WorldOptions = {}) {
    this.config = { ...CONFIG, ...config }
    const open: WebSocketHandler['open'] = (connection) =>
      this.handlers[0].open?.(connection as Connection<Member>, this.#accepted)
    this.net = new MoveFixture(
      { ws: this.#lazy(0, open), messageBytesMax: this.config.maxMessageBytes },
      { there: { ws: this.#lazy(1, open), messageBytesMax: this.config.maxMessageBytes }, limits, deflate },
    )
    const { clock, wheel } = this.net.timers
    const log = this.#logger()
    this.#clients = [...THREADS, 0].map((thread, index) => {
      return new BridgeClient({
        send: (...record) => this.#post(index, thread, record),
        clock,
        wheel,
        timeoutMs: BRIDGE_TIMEOUT_MS,
        callsMax: 1_000,
      })
    })
    const cell = { value: 0 }
    this.#host = new BridgeHost({
      engine: (events) => {
        this.#events = events
        const limitsOfEngine = { memoryBytesMax: 1024 * 1024, readBytesMax: 1024 }
        this.#engine = new HeldEngine(new LocalEngine({ clock, wheel, ...limitsOfEngine }, events))
        return this.#engine
      },
      send: (thread, ...record) => this.#answer(thread, record),
      cells: { messagesIn: cell, messagesOut: cell, droppedRingFull: cell, droppedTooLarge: cell, gaps: cell },
      clock,
      wheel,
      log,
      limits: BRIDGE_LIMITS,
      life: 1,
    })
    this.backend = this.#bridge(2)
    this.edges = [this.#edge(0, log), this.#edge(1, log)]
    this.handlers = [webSocketHandler(this.edges[0]), webSocketHandler(this.edges[1])]
  }

  get engine(): HeldEngine {
    assert.ok(this.#engine !== undefined)
    return this.#engine
  }

  /** The server was away. */
  tellGap(...sessions: readonly string[]): void {
    this.#events?.onGap(sessions.map((session) => `session:${session}:down`))
  }

  setToken(session = SESSION, token = TOKEN): Promise<void> {
    return this.backend.set({ key: `session:${session}:auth`, value: Buffer.from(token) })
  }

  /** Publishes to a session, as a backend. */
  down(text: string | Buffer, session = SESSION): Promise<number> {
    return this.backend.publish({ channel: `session:${session}:down`, payload: Buffer.from(text as string) })
  }

  /** What clients of a session say. */
  async up(session = SESSION): Promise<string[]> {
    const heard: string[] = []
    const listener = { message: (payload: Buffer) => void heard.push(payload.toString()), gap: () => {} }
    await this.backend.subscribe(`session:${session}:up`, listener).confirmed
    return heard
  }

  /** The handshake alone. */
  async knock(request: Partial<UpgradeRequest> = {}): Promise<UpgradeAnswer> {
    const answer = this.handlers[0].upgrade?.({
      target: `/agent/ws/${encodeURIComponent(SESSION)}`,
      headers: { authorization: `Bearer ${TOKEN}` },
      remote: { address: '127.0.0.1', port: 1 },
      session: `proxy:${SESSION}`,
      signal: new AbortController().signal,
      ...request,
    })
    assert.ok(answer !== undefined)
    return answer
  }

  /** Handshake and connection. */
  async open(request: Partial<UpgradeRequest> = {}): Promise<Client> {
    const answer = await this.knock(request)
    assert.ok(answer.accept, JSON.stringify(answer))
    this.#accepted = answer.value
    const { client, connection } = await this.net.pair<Member>({ session: `proxy:${SESSION}` })
    return { socket: client, frames: new Frames(client), id: connection.id }
  }

  say({ socket }: Client, text: string | Buffer, opcode: number = OPCODE.text): void {
    socket.write(encodeClientFrame({ opcode, payload: text }))
  }

  connection({ id }: Client): Connection<Member> {
    const connection = this.net.at(id)
    assert.ok(connection !== undefined, 'it is open')
    return connection as Connection<Member>
  }

  async until(what: string, predicate: () => boolean): Promise<void> {
    await until(what, predicate)
    assert.deepEqual(this.net.failures, [])
  }

  /** Everything that can happen now. */
  async settle(): Promise<void> {
    for (let round = 0; round < 5; round++) await turn()
  }

  async pass(ms: number): Promise<void> {
    this.net.timers.run(ms)
    await this.settle()
  }

  /** Of both loops. */
  async count(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    let sum = 0
    for (const metrics of this.metrics) {
      const family = (await metrics.collect()).find((one) => one.name === `wsproxy_${name}`)
      assert.ok(family !== undefined, name)
      for (const { value, labels: own } of family.values)
        if (Object.entries(labels).every(([key, wanted]) => own[key] === wanted)) sum += value
    }
    return sum
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.engine.release()
    await this.net[Symbol.asyncDispose]()
    await this.settle()
    await this.#host.close()
  }

  #lazy(side: Side, open: WebSocketHandler['open']): WebSocketHandler {
    // Made before the handlers are, because they need its timers.
    const own = (): WebSocketHandler => this.handlers[side] as WebSocketHandler
    return {
      ...(open === undefined ? {} : { open }),
      message: (...given) => own().message(...given),
      pong: (...given) => own().pong?.(...given),
      writable: (...given) => own().writable?.(...given),
      closing: (...given) => own().closing?.(...given),
      close: (...given) => own().close?.(...given),
      settled: (...given) => own().settled?.(...given) ?? true,
      freeze: (...given) => own().freeze?.(...given),
      thaw: (...given) => own().thaw?.(...given),
    }
  }

  #edge(side: Side, log: Logger): ProxyEdge {
    const { clock, wheel } = this.net.timers
    return new ProxyEdge({
      config: this.config,
      clock,
      log,
      metrics: this.metrics[side],
      bridge: this.#bridge(side),
      after: (delayMs, callback) => {
        const handle = wheel.schedule(delayMs, callback, undefined)
        return () => wheel.cancel(handle)
      },
    })
  }

  #bridge(index: number): Bridge {
    const client = this.#clients[index]
    assert.ok(client !== undefined)
    return client.bridge
  }

  #logger(): Logger {
    return createLogger({ level: 'debug', write: (line) => this.log.push(line), base: { thread: 'test' } })
  }

  /** As a ring does: a copy, later, in order. */
  #post(_index: number, thread: number, [kind, ...parts]: Parameters<BridgeClientSend>): boolean {
    const record = recordOf(...parts)
    return this.#later(() => assert.ok(this.#host.receive(thread, kind, record)))
  }

  #answer(thread: number, [kind, ...parts]: Parameters<BridgeClientSend>): boolean {
    const record = recordOf(...parts)
    const client = this.#clients[thread === 0 ? 2 : thread - THREADS[0]]
    return this.#later(() => assert.ok(client?.receive(kind, record)))
  }

  #later(deliver: () => void): true {
    this.#records.push(deliver)
    if (this.#isPumping) return true
    this.#isPumping = true
    setImmediate(() => {
      this.#isPumping = false
      for (const next of this.#records.splice(0)) next()
    })
    return true
  }
}

type BridgeClientSend = ConstructorParameters<typeof BridgeClient>[0]['send']
