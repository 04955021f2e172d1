// Clients and a host of a bridge in one thread, joined by copies of records as rings would join them: in order, refused
// when full, and by hand where a test looks between two of them.
import assert from 'node:assert/strict'
import type { BridgeClientOptions } from '../../src/bridge/bridge-client.ts'
import { BridgeClient } from '../../src/bridge/bridge-client.ts'
import type { EngineFactory } from '../../src/bridge/bridge-engine.ts'
import { BRIDGE_LIMITS, BridgeHost, type BridgeLimits } from '../../src/bridge/bridge-host.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { createLogger, type Logger } from '../../src/observe/logger.ts'
import { createNodeWheel } from '../../src/timer/node-wheel.ts'
import type { TimerWheel } from '../../src/timer/wheel.ts'
import { recordOf } from '../harness/record.ts'

/** The first thread that calls. */
export const THREAD = 8
/** A log whose lines nobody wants to see. */
export const SILENT: Logger = createLogger({ level: 'silent', write: () => {}, base: { thread: 'bridge' } })

export interface BridgeLoopOptions {
  readonly clock?: Clock
  readonly wheel?: TimerWheel
  readonly limits?: Partial<BridgeLimits>
  readonly client?: Partial<BridgeClientOptions>
  readonly threads?: number
}

interface Sent {
  readonly kind: number
  readonly record: Buffer
}

/** What one thread sends and gets. */
class Way {
  readonly toHost: Sent[] = []
  readonly toClient: Sent[] = []
  generation = 1
  /** Records that wait at most. */
  toHostMax = Number.POSITIVE_INFINITY
  toClientMax = Number.POSITIVE_INFINITY
}

export class BridgeLoop implements AsyncDisposable {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly cells = {
    messagesIn: { value: 0 },
    messagesOut: { value: 0 },
    droppedRingFull: { value: 0 },
    droppedTooLarge: { value: 0 },
    gaps: { value: 0 },
  }
  readonly states: [boolean, string][] = []
  /** What listeners threw. */
  readonly errors: unknown[] = []
  host: BridgeHost
  /** Records wait for `pass`. */
  byHand = false
  readonly #options: BridgeLoopOptions
  readonly #engine: EngineFactory
  readonly #ways = new Map<number, Way>()
  readonly #clients = new Map<number, BridgeClient>()
  #life = 0
  #isPassing = false

  constructor(engine: EngineFactory, options: BridgeLoopOptions = {}) {
    this.#engine = engine
    this.#options = options
    this.clock = options.clock ?? systemClock
    this.wheel = options.wheel ?? createNodeWheel(this.clock)
    this.host = this.#newHost()
    for (let count = 0; count < (options.threads ?? 2); count++) {
      this.#ways.set(THREAD + count, new Way())
      this.#clients.set(THREAD + count, this.#newClient(THREAD + count))
    }
  }

  client(thread = THREAD): BridgeClient {
    const client = this.#clients.get(thread)
    assert.ok(client !== undefined)
    return client
  }

  way(thread = THREAD): Way {
    const way = this.#ways.get(thread)
    assert.ok(way !== undefined)
    return way
  }

  /** Lets arrive what is on its way. */
  pass(): void {
    for (const [thread, way] of this.#ways) {
      for (const { kind, record } of way.toHost.splice(0)) assert.ok(this.host.receive(thread, kind, record))
      for (const { kind, record } of way.toClient.splice(0)) assert.ok(this.client(thread).receive(kind, record))
    }
  }

  /** By hand: until nothing is on its way, and no promise of an engine in memory is open. */
  async settle(): Promise<void> {
    do {
      this.pass()
      await new Promise((resolve) => setImmediate(resolve))
    } while ([...this.#ways.values()].some(({ toHost, toClient }) => toHost.length + toClient.length > 0))
  }

  /** The bridge's thread dies, and its successor reads what it left unread. */
  async restartHost(): Promise<void> {
    const old = this.host
    this.host = this.#newHost()
    // Nothing of a dead thread is heard any more.
    await old.close()
    for (const client of this.#clients.values()) client.bridgeDown()
  }

  /** A thread that calls dies, and has a successor. */
  restartClient(thread = THREAD): void {
    this.host.threadDown(thread)
    const way = this.way(thread)
    way.toClient.length = 0
    way.generation++
    this.#clients.set(thread, this.#newClient(thread))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.byHand = false
    await this.host.close()
    if (this.#options.wheel === undefined) this.wheel.close()
  }

  #newHost(): BridgeHost {
    const life = ++this.#life
    return new BridgeHost({
      engine: this.#engine,
      send: (thread, kind, head, headBytes, body, start, bytes) => {
        if (life !== this.#life) return false
        const way = this.way(thread)
        if (way.toClient.length >= way.toClientMax) return false
        way.toClient.push({ kind, record: recordOf(head, headBytes, body, start, bytes) })
        this.#passSoon()
        return true
      },
      cells: this.cells,
      clock: this.clock,
      wheel: this.wheel,
      log: SILENT,
      limits: { ...BRIDGE_LIMITS, ...this.#options.limits },
      life,
      onState: (isUp, problem) => this.states.push([isUp, problem]),
    })
  }

  #newClient(thread: number): BridgeClient {
    return new BridgeClient({
      send: (kind, head, headBytes, body, start, bytes) => {
        const way = this.way(thread)
        if (way.toHost.length >= way.toHostMax) return false
        way.toHost.push({ kind, record: recordOf(head, headBytes, body, start, bytes) })
        this.#passSoon()
        return true
      },
      clock: this.clock,
      wheel: this.wheel,
      timeoutMs: 5_000,
      callsMax: 100_000,
      generation: this.way(thread).generation,
      onError: (error) => this.errors.push(error),
      ...this.#options.client,
    })
  }

  // Later, as a ring would: nobody is answered before he has asked.
  #passSoon(): void {
    if (this.byHand || this.#isPassing) return
    this.#isPassing = true
    queueMicrotask(() => {
      this.#isPassing = false
      if (!this.byHand) this.pass()
    })
  }
}
