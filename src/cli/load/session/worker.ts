// One worker of a load test of the session proxy: it owns a session, and plays both its client and its backend.
//
//   key set ──► connecting ──open──► warm-up ──► publishing ──► draining ──► closing ──► key removed
//                   └────failed, closed, stopped────┴──────────────┴────────────┘
import { randomUUID } from 'node:crypto'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../../lib/clock.ts'
import { PolyloopError } from '../../../lib/errors.ts'
import { authKeyOf, channelOf, sessionPathOf } from '../../session-name.ts'
import type { ToolBridge } from '../../tool-bridge.ts'
import type { SessionBooks } from './books.ts'
import { WorkerConnection } from './connection.ts'
import type { SessionPlan } from './plan.ts'

/** A key that a killed load test leaves behind ends by itself. */
const KEY_TTL_SECONDS = 10_800

export interface WorkerSurroundings {
  readonly plan: SessionPlan
  readonly bridge: Pick<ToolBridge, 'call'>
  readonly books: SessionBooks
  readonly clock: Clock
  /** 0 to 1, for jitter. */
  readonly random: () => number
}

/** A message under way. */
interface Sent {
  readonly timestampNs: number
  /** `doubtful`: the answer of Redis is lost; the message may come. */
  state: 'asked' | 'published' | 'doubtful' | 'received'
}

export class SessionWorker {
  readonly #around: WorkerSurroundings
  readonly #session = `load-test-${randomUUID()}`
  readonly #agent: string
  readonly #token: string
  readonly #startMs: number
  readonly #stop = new AbortController()
  readonly #awaited = new Map<string, Sent>()
  #connection: WorkerConnection | undefined
  #hasKey = false
  #isOpen = false
  /** The connection ended, by whomever. */
  #isClosed = false
  /** Publishes without an answer, and messages that may never have been published. */
  #asked = 0
  #doubtful = 0
  #onSettled: (() => void) | undefined

  constructor(number: number, around: WorkerSurroundings) {
    this.#around = around
    this.#agent = `agent-${number}`
    this.#token = `token-${number}`
    this.#startMs = around.clock.nowMs()
  }

  /** Sends no more; what is under way is waited for. */
  stop(): void {
    this.#stop.abort()
    if (!this.#isOpen) void this.#connection?.close(0)
  }

  /** Sets the key, and connects. False: it failed, and the books say so. */
  async open(): Promise<boolean> {
    const { bridge, books, plan } = this.#around
    if (this.#stop.signal.aborted) return false
    try {
      const value = Buffer.from(this.#token)
      this.#hasKey = true
      await bridge.call('set', { key: authKeyOf(this.#session), value, ttlSeconds: KEY_TTL_SECONDS })
    } catch (error) {
      books.redisFailed('setting a token', error)
      return false
    }
    const url = `ws://${plan.host}:${plan.port}${sessionPathOf(this.#agent, this.#session)}`
    const connection = new WorkerConnection(url, this.#token, {
      message: (text) => this.#onMessage(text),
      closed: (code, reason) => this.#onClosed(code, reason),
    })
    this.#connection = connection
    const outcome = await connection.opening
    if (outcome.kind === 'late') books.fail('timeouts', 'no answer to the handshake')
    else if (outcome.kind === 'refused') books.refused(outcome.status, outcome.text)
    else if (outcome.kind === 'failed') books.fail('other', `connecting: ${outcome.reason}`)
    if (outcome.kind !== 'open') return false
    this.#isOpen = true
    books.open++
    books.opened++
    return true
  }

  /** From the warm-up to the end of the draining. */
  async work(): Promise<void> {
    await this.#pause(this.#around.plan.warmupMs)
    await this.#publishAll()
    await this.#drain()
  }

  /** Also after a failure. */
  async close(): Promise<void> {
    const { bridge, books, plan } = this.#around
    if (this.#isOpen) books.open--
    this.#isOpen = false
    this.#isClosed = true
    await this.#connection?.close(plan.shutdownTimeoutMs)
    if (!this.#hasKey) return
    try {
      await bridge.call('remove', { key: authKeyOf(this.#session) })
    } catch (error) {
      books.redisFailed('removing a token', error)
    }
  }

  get #isOver(): boolean {
    return this.#isClosed || this.#stop.signal.aborted
  }

  async #publishAll(): Promise<void> {
    const { plan, clock, random } = this.#around
    const { durationMs, intervalMs, jitter } = plan
    const startMs = clock.nowMs()
    let dueMs = 0
    // Counted from the start, not from the last message: a late one does not delay those behind it.
    for (let index = 1; dueMs <= durationMs; index++) {
      await this.#pause(startMs + dueMs - clock.nowMs())
      if (this.#isOver) return
      void this.#publish()
      dueMs = jitter ? dueMs + random() * intervalMs : index * intervalMs
    }
  }

  async #publish(): Promise<void> {
    const { bridge, books, clock } = this.#around
    const id = randomUUID()
    const timestampNs = Math.round((clock.nowMs() - this.#startMs) * 1e6)
    const text = `{"type":"data","message_id":"${id}","timestamp":${timestampNs}}`
    const sent: Sent = { timestampNs, state: 'asked' }
    this.#awaited.set(id, sent)
    this.#asked++
    books.attempts++
    try {
      await bridge.call('publish', { channel: channelOf(this.#session, 'down'), payload: Buffer.from(text) })
      books.successes++
      books.sent++
      if (sent.state === 'asked') sent.state = 'published'
    } catch (error) {
      books.redisFailed('publishing', error)
      this.#notPublished(id, sent, error)
    }
    this.#asked--
    this.#settle()
  }

  #notPublished(id: string, sent: Sent, error: unknown): void {
    const isUnknown =
      error instanceof PolyloopError && (error.code === 'BRIDGE_TIMEOUT' || error.code === 'BRIDGE_LOST')
    if (sent.state === 'received') this.#around.books.sent++
    else if (isUnknown) {
      sent.state = 'doubtful'
      this.#doubtful++
    } else this.#awaited.delete(id)
  }

  #onMessage(text: string): void {
    const { books, clock } = this.#around
    const nowMs = clock.nowMs()
    const message = parsed(text)
    if (message?.type === 'control') {
      books.gaps++
      return
    }
    const id = String(message?.message_id)
    const sent = this.#awaited.get(id)
    if (sent === undefined || message?.timestamp !== sent.timestampNs) {
      books.fail('other', 'a message that was not sent, or came twice')
      return
    }
    this.#awaited.delete(id)
    if (sent.state === 'doubtful') {
      this.#doubtful--
      books.sent++
    }
    sent.state = 'received'
    books.received++
    books.latenciesNs.push(Math.max(0, Math.round((nowMs - this.#startMs) * 1e6) - sent.timestampNs))
    this.#settle()
  }

  #onClosed(code: number, reason: string): void {
    const { books } = this.#around
    if (this.#isOpen) books.open--
    this.#isOpen = false
    books.fail('other', `closed ${code} ${reason}`.trimEnd())
    this.#isClosed = true
    this.#stop.abort()
    this.#onSettled?.()
  }

  /** Nothing is under way that could still arrive. */
  get #isSettled(): boolean {
    return this.#asked === 0 && this.#awaited.size === this.#doubtful
  }

  #settle(): void {
    if (this.#onSettled !== undefined && this.#isSettled) this.#onSettled()
  }

  async #drain(): Promise<void> {
    const { books, plan } = this.#around
    if (this.#isSettled) return
    const { drain } = books
    drain.needed++
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onSettled = resolve
    // It may be closed already.
    if (this.#isClosed) resolve()
    const timer = setTimeout(resolve, plan.drainTimeoutMs)
    await promise
    clearTimeout(timer)
    this.#onSettled = undefined
    if (this.#isSettled) drain.completed++
    else if (this.#isClosed) drain.closedEarly++
    else drain.timedOut++
  }

  /** Ends early when it is stopped or closed; always lets others have a turn. */
  async #pause(ms: number): Promise<void> {
    if (this.#isOver) return
    if (ms <= 0) await nextTurn()
    // It rejects when it is stopped: that is the end of the pause.
    else await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined)
  }
}

interface Message {
  readonly type?: unknown
  readonly message_id?: unknown
  readonly timestamp?: unknown
}

function parsed(text: string): Message | undefined {
  try {
    const value = JSON.parse(text) as Message | null
    return value ?? undefined
  } catch {
    // Not ours: counted as such.
    return undefined
  }
}
