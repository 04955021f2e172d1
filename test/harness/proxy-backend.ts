// A backend of the session proxy, as PROTOCOLS 5 has it: it knows Redis and the names there, and nothing of the proxy.
// ioredis is here the other side, so that nothing of ours tests itself.
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import { waitUntil, within } from './wait.ts'

/** It finds its way back by itself; what is asked for meanwhile fails. */
const OPTIONS = {
  lazyConnect: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => 50,
} as const

export class ProxyBackend implements AsyncDisposable {
  readonly redis: Redis
  readonly #url: string

  constructor(url: string, redis: Redis) {
    this.#url = url
    this.redis = redis
  }

  static async connect(url: string): Promise<ProxyBackend> {
    const redis = new Redis(url, OPTIONS)
    redis.on('error', () => {}) // the calls fail
    await redis.connect()
    return new ProxyBackend(url, redis)
  }

  async setToken(session: string, token: string | Buffer, ttlSeconds?: number): Promise<void> {
    const key = `session:${session}:auth`
    if (ttlSeconds === undefined) await this.redis.set(key, token)
    else await this.redis.set(key, token, 'EX', ttlSeconds)
  }

  /** As Redis says it: -1 without one, -2 without a key. */
  tokenTtl(session: string): Promise<number> {
    return this.redis.ttl(`session:${session}:auth`)
  }

  /** To the clients of a session; how many connections of proxies get it. */
  publish(session: string, payload: string | Buffer): Promise<number> {
    return this.redis.publish(`session:${session}:down`, payload)
  }

  /** Listens to what the clients of sessions say. */
  async listen(...sessions: readonly string[]): Promise<Uplink> {
    const redis = new Redis(this.#url, OPTIONS)
    redis.on('error', () => {}) // it subscribes again by itself
    await redis.connect()
    const uplink = new Uplink(redis)
    await redis.subscribe(...sessions.map((session) => `session:${session}:up`))
    return uplink
  }

  /** `down`, of sessions, that anybody is subscribed to. */
  async channels(): Promise<string[]> {
    return ((await this.redis.pubsub('CHANNELS', 'session:*:down')) as string[]).sort()
  }

  /** Connections at the server, this one included. */
  async connections(): Promise<number> {
    return Number(/connected_clients:(\d+)/.exec(await this.redis.info('clients'))?.[1])
  }

  /** Ends all connections of others: subscribers at least. */
  async cut(...type: readonly ('normal' | 'pubsub')[]): Promise<number> {
    let count = 0
    for (const one of type) count += Number(await this.redis.call('CLIENT', 'KILL', 'TYPE', one, 'SKIPME', 'yes'))
    return count
  }

  /** It has found its way to the server again. */
  async isBack(): Promise<void> {
    const answers = (): Promise<boolean> =>
      this.redis.ping().then(
        () => true,
        () => false,
      )
    await waitUntil('the backend is connected again', answers)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.redis.disconnect()
  }
}

/** What came on channels `up`, in order, whatever the session. */
export class Uplink implements Disposable {
  readonly payloads: Buffer[] = []
  readonly #redis: Redis
  #read = 0
  #wake: () => void = () => {}

  constructor(redis: Redis) {
    this.#redis = redis
    redis.on('messageBuffer', (_channel: Buffer, payload: Buffer) => {
      this.payloads.push(payload)
      this.#wake()
    })
  }

  /** The next one. One reader at a time. */
  async next(deadlineMs?: number): Promise<Buffer> {
    if (this.#read === this.payloads.length) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await within('a message upstream', promise, deadlineMs)
    }
    const payload = this.payloads[this.#read++]
    assert.ok(payload)
    return payload
  }

  [Symbol.dispose](): void {
    this.#redis.disconnect()
  }
}
