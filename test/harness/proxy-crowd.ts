// Many sessions of the session proxy, each with numbered messages both ways at the same time: what is doubled, out of
// order, cut off, or lost without a notice is a fault.
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import { GAP, type RedisProxy, TOKEN, UNAVAILABLE } from './proxy-server.ts'
import { pause, waitUntil } from './wait.ts'
import type { WebSocketClient } from './web-socket-client.ts'

const OPENED_AT_ONCE = 50
const ROUND_MS = 20
const FAULTS_KEPT = 20

class Member {
  readonly session: string
  readonly client: WebSocketClient
  /** The number that it heard last. */
  heard = 0
  /** Notices. */
  gaps = 0
  /** Answered that they went nowhere. */
  refused = 0
  readonly #fault: (what: string) => void
  /** The notice was the last thing: what comes next may be anything newer. */
  #isTold = false

  constructor(session: string, client: WebSocketClient, fault: (what: string) => void) {
    this.session = session
    this.client = client
    this.#fault = fault
    client.raw.on('message', (data: Buffer) => this.#hear(data.toString()))
  }

  #hear(text: string): void {
    if (text === GAP) {
      this.gaps++
      this.#isTold = true
      return
    }
    if (text === UNAVAILABLE) {
      this.refused++
      return
    }
    const number = Number(text)
    const isNext = number === this.heard + 1 || (this.#isTold && number > this.heard)
    if (!isNext) this.#fault(`${text} behind ${this.heard}`)
    this.#isTold = false
    this.heard = number
  }
}

export class ProxyCrowd implements Disposable {
  readonly members: Member[] = []
  readonly faults: string[] = []
  /** Numbers given to every session so far. */
  published = 0
  /** What each connection has sent so far. */
  said = 0
  /** By session: what the backend heard, in order. */
  readonly up = new Map<string, number[]>()
  readonly #proxy: RedisProxy
  readonly #name: string
  readonly #sessions: readonly string[]
  readonly #ear: Redis
  #running: Promise<void> | undefined
  #isStopped = false

  constructor(proxy: RedisProxy, name: string, sessions: readonly string[]) {
    this.#proxy = proxy
    this.#name = name
    this.#sessions = sessions
    this.#ear = new Redis(proxy.redis.url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
    this.#ear.on('error', () => {}) // it comes back by itself
    this.#ear.on('pmessage', (_pattern: string, channel: string, payload: string) => this.#hearUp(channel, payload))
  }

  /** Its sessions are called `<name>-<n>`; nobody else's may begin so. */
  static async open(proxy: RedisProxy, sessionCount: number, perSession = 1, name = 'crowd'): Promise<ProxyCrowd> {
    const sessions = Array.from({ length: sessionCount }, (_, index) => `${name}-${index}`)
    const crowd = new ProxyCrowd(proxy, name, sessions)
    await crowd.#ear.psubscribe(`session:${name}-*:up`)
    await Promise.all(crowd.#sessions.map((session) => proxy.backend.setToken(session, TOKEN)))
    const wanted = crowd.#sessions.flatMap((session) => Array.from({ length: perSession }, () => session))
    for (let start = 0; start < wanted.length; start += OPENED_AT_ONCE) {
      await Promise.all(wanted.slice(start, start + OPENED_AT_ONCE).map((session) => crowd.#enter(session)))
    }
    return crowd
  }

  /** Sends numbers both ways, to and from every session, until `stop`. */
  start(): void {
    this.#isStopped = false
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  /** One number to each session. Those that Redis does not take are simply missing. */
  async round(): Promise<void> {
    this.published++
    const { backend } = this.#proxy
    await Promise.all(this.#sessions.map((session) => backend.publish(session, `${this.published}`).catch(() => {})))
  }

  /** Every connection says something. */
  say(): void {
    this.said++
    for (const { client } of this.members) if (!client.isOver) client.send(`${this.said}`)
  }

  /** All have had so many notices. */
  async told(count: number, deadlineMs?: number): Promise<void> {
    await waitUntil(`gap ${count} is told`, () => this.members.every(({ gaps }) => gaps >= count), deadlineMs)
  }

  /** From here on everything arrives, in both directions. */
  async assertFlows(rounds: number): Promise<void> {
    const isBack = async (): Promise<boolean> =>
      (await this.#proxy.backend.redis.publish(`session:${this.#name}-probe:up`, '0').catch(() => 0)) === 1
    await waitUntil('the backend listens again', isBack)
    // Of its two connections each comes back for itself.
    const isHealthy = async (): Promise<boolean> => (await this.#proxy.request('GET', '/health')).status === 200
    await waitUntil('the proxy is healthy', isHealthy)
    const { said } = this
    for (let round = 0; round < rounds; round++) {
      await this.round()
      this.say()
    }
    await waitUntil('all has come down', () => this.members.every(({ heard }) => heard === this.published))
    const perSession = this.members.length / this.#sessions.length
    // What was said before may come late, or never.
    const added = (session: string): number => (this.up.get(session) ?? []).filter((number) => number > said).length
    await waitUntil('all has come up', () => this.#sessions.every((session) => added(session) === rounds * perSession))
    this.assertWell()
  }

  /** Nobody was disconnected, and nothing came twice or out of order. */
  assertWell(): void {
    assert.deepEqual(this.faults, [])
    const over = this.members.filter(({ client }) => client.isOver).map(({ session }) => session)
    assert.deepEqual(over, [])
  }

  /** What the clients said has all come up, in order; for one connection per session. */
  async assertAllUp(): Promise<void> {
    const wanted = Array.from({ length: this.said }, (_, index) => index + 1)
    const of = (session: string): readonly number[] => this.up.get(session) ?? []
    await waitUntil('all has come up', () => this.#sessions.every((session) => of(session).length >= this.said))
    for (const session of this.#sessions) assert.deepEqual(of(session), wanted, session)
  }

  get gapCount(): number {
    return this.members.reduce((sum, { gaps }) => sum + gaps, 0)
  }

  get refusedCount(): number {
    return this.members.reduce((sum, { refused }) => sum + refused, 0)
  }

  [Symbol.dispose](): void {
    this.#isStopped = true
    this.#ear.disconnect()
    for (const { client } of this.members) client[Symbol.dispose]()
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.say()
      await Promise.all([this.round(), pause(ROUND_MS)])
    }
  }

  async #enter(session: string): Promise<void> {
    const client = await this.#proxy.open(session)
    this.members.push(new Member(session, client, (what) => this.#fault(`${session}: ${what}`)))
  }

  #hearUp(channel: string, payload: string): void {
    const session = channel.slice('session:'.length, -':up'.length)
    const numbers = this.up.get(session) ?? []
    this.up.set(session, numbers)
    numbers.push(Number(payload))
  }

  #fault(what: string): void {
    if (this.faults.length < FAULTS_KEPT) this.faults.push(what)
  }
}
