// Stores for tests: an engine called directly, or behind a client and a host that are joined by copies of records, as
// rings would join them. Files are real, in a folder of their own.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '../../src/lib/clock.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { createLogger, type Logger } from '../../src/observe/logger.ts'
import { createEngine } from '../../src/store/create-engine.ts'
import type { Store, StoreOperation, StoreOperations } from '../../src/store/store.ts'
import { StoreClient } from '../../src/store/store-client.ts'
import type { StoreCall, StoreEngine, StoreOutcome } from '../../src/store/store-engine.ts'
import { STORE_LIMITS, StoreHost, type StoreLimits } from '../../src/store/store-host.ts'
import { OPERATIONS } from '../../src/store/store-record.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { recordOf } from '../harness/record.ts'

export type Kind = 'sqlite' | 'memory'

/** A thread that calls, as the host sees it. */
const SOURCE = 8

export class LogCapture {
  readonly lines: Record<string, unknown>[] = []
  readonly log: Logger

  constructor(clock: ManualClock) {
    const write = (line: string): void => void this.lines.push(JSON.parse(line) as Record<string, unknown>)
    this.log = createLogger({ level: 'debug', write, base: { thread: 'store' }, clock })
  }

  of(event: string): Record<string, unknown>[] {
    return this.lines.filter((line) => line.event === event)
  }
}

// No test asks whether a disk keeps what it has synced, and the syncs would take most of their time.
const PARENT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** A folder that is gone after the test. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(PARENT, 'polyloop-store-'))

  file(name = 'store.db'): string {
    return join(this.path, name)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** A log whose lines nobody wants to see. */
export const SILENT: Logger = createLogger({ level: 'silent', write: () => {}, base: { thread: 'store' } })

export function openEngine(kind: Kind, path: string, clock = new ManualClock(), log = SILENT): StoreEngine {
  return createEngine({ kind, path, log, clock })
}

type ArgumentOf<Name extends StoreOperation> = Parameters<StoreOperations[Name]>[0]

export function call<Name extends StoreOperation>(operation: Name, argument: ArgumentOf<Name>): StoreCall {
  return { operation, argument }
}

export function textMessage(content: string, chatId = 1, senderId = 1): StoreCall {
  return call('addMessage', { chatId, senderId, content, type: 'Text', createSender: false })
}

/** Runs one batch, of an engine that answers at once. */
export function run(engine: StoreEngine, ...calls: readonly StoreCall[]): readonly StoreOutcome[] {
  const outcomes = engine.run(calls)
  assert.ok(!(outcomes instanceof Promise))
  return outcomes
}

/** The value of one call, or its failure as `CODE: problem`. */
export function shown(outcome: StoreOutcome | undefined): unknown {
  assert.ok(outcome !== undefined)
  return outcome.ok ? outcome.value : `${outcome.code}: ${outcome.problem}`
}

/** Each call a batch of its own. */
export function directStore(engine: StoreEngine): Store {
  const methods = OPERATIONS.map((operation) => [
    operation,
    async (argument: unknown) => {
      const [outcome] = await engine.run([{ operation, argument }])
      if (outcome?.ok === true) return outcome.value
      assert.ok(outcome !== undefined)
      throw new PolyloopError(outcome.code, { operation, problem: outcome.problem })
    },
  ])
  return Object.fromEntries(methods) as Store
}

/** What the host measured. */
export class Histogram {
  readonly values: number[] = []

  observe(value: number): void {
    this.values.push(value)
  }
}

export interface LoopOptions {
  readonly limits?: Partial<StoreLimits>
  readonly callsMax?: number
  readonly generation?: number
}

/** A client and a host in one thread. Records wait in two queues until `pass`, or pass by themselves. */
export class Loop {
  readonly timers = new ManualTimers()
  readonly capture = new LogCapture(this.timers.clock)
  readonly commitSeconds = new Histogram()
  readonly batchSize = new Histogram()
  readonly client: StoreClient
  readonly host: StoreHost
  /** Batches that wait to be run, when `byHand`. */
  readonly scheduled: (() => void)[] = []
  /** Records on their way. */
  readonly toHost: [number, Buffer][] = []
  readonly toClient: [number, Buffer][] = []
  byHand = false
  /** What each way takes at most; more is refused. */
  toHostMax = Number.POSITIVE_INFINITY
  toClientBytesMax = Number.POSITIVE_INFINITY

  constructor(engine: StoreEngine, options: LoopOptions = {}) {
    this.client = new StoreClient({
      send: (kind, head, headBytes, body, start, bytes) => {
        if (this.toHost.length >= this.toHostMax) return false
        this.toHost.push([kind, recordOf(head, headBytes, body, start, bytes)])
        this.#passSoon()
        return true
      },
      clock: this.timers.clock,
      wheel: this.timers.wheel,
      timeoutMs: 1_000,
      callsMax: options.callsMax ?? 10_000,
      generation: options.generation ?? 1,
    })
    this.host = new StoreHost({
      engine,
      reply: (thread, kind, head, headBytes, body, start, bytes) => {
        assert.equal(thread, SOURCE)
        if (headBytes + bytes > this.toClientBytesMax) return false
        this.toClient.push([kind, recordOf(head, headBytes, body, start, bytes)])
        this.#passSoon()
        return true
      },
      commitSeconds: this.commitSeconds,
      batchSize: this.batchSize,
      log: this.capture.log,
      clock: this.timers.clock,
      limits: { ...STORE_LIMITS, ...options.limits },
      schedule: (batch) => {
        if (this.byHand) this.scheduled.push(batch)
        else setImmediate(batch)
      },
    })
  }

  /** Lets all records arrive that are on their way. */
  pass(): void {
    for (const [kind, record] of this.toHost.splice(0)) assert.ok(this.host.receive(SOURCE, kind, record))
    for (const [kind, record] of this.toClient.splice(0)) assert.ok(this.client.receive(kind, record))
  }

  /** By hand: all that waits is done, and answered. */
  settle(): void {
    do {
      this.pass()
      for (const batch of this.scheduled.splice(0)) batch()
    } while (this.toHost.length + this.toClient.length + this.scheduled.length > 0)
  }

  // Later, as a ring would: nobody is answered before he has asked.
  #passSoon(): void {
    if (!this.byHand) queueMicrotask(() => this.pass())
  }
}
