// One connection to a Redis server, for one life: it connects, is used, and ends; a new one is a new link. The only file
// that knows ioredis. Of what that offers, everything is off that would hide an end: queues for later, resending,
// resubscribing, reconnecting.
//
//     connecting ──▶ ready ──▶ ended
//         └────────────────────▲      each of the two is told once
import { Redis, type RedisOptions } from 'ioredis'
import type { Clock } from '../lib/clock.ts'
import type { RedisAddress, RedisEndpoint } from '../lib/redis-address.ts'
import { NO_TIMER, type TimerHandle, type TimerWheel } from '../timer/wheel.ts'
import type { RedisLimits } from './redis-options.ts'

export type RedisArgument = string | Buffer | number

export interface RedisLinkOptions {
  readonly address: RedisAddress
  /** The server of a Cluster; otherwise the address says it. */
  readonly endpoint?: RedisEndpoint | undefined
  /** Counts attempts: each begins with another Sentinel. */
  readonly attempt: number
  readonly limits: RedisLimits
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly onReady: (link: RedisLink) => void
  /** `problem` in the words of the server, or of the system. */
  readonly onEnded: (link: RedisLink, problem: string) => void
  readonly onMessage?: ((channel: Buffer, payload: Buffer) => void) | undefined
  /** A node of a Cluster has ended subscriptions, because their slots went elsewhere. */
  readonly onMoved?: (() => void) | undefined
}

/** Hashes of scripts that are remembered for a link: they are few and constant. */
const SCRIPTS_MAX = 1_000

/** ioredis' words for a command that found the connection closed: whether it was done is unknown. */
const CLOSED = 'Connection is closed.'

export class RedisLink {
  state: 'connecting' | 'ready' | 'ended' = 'connecting'
  /** Of the last probe. */
  roundTripMs = 0
  readonly #options: RedisLinkOptions
  readonly #redis: Redis
  /** Sent whole over this link: the server knows them. */
  readonly #scripts = new Set<string>()
  #problem = ''
  #timer: TimerHandle = NO_TIMER
  #isCorked = false
  /** Since when a probe waits for its answer; undefined: none does. */
  #probedMs: number | undefined
  #bytesRead = 0
  #lookedMs = 0

  constructor(options: RedisLinkOptions) {
    this.#options = options
    const { wheel, limits } = options
    this.#redis = new Redis(redisOptionsOf(options))
    this.#redis.on('error', (error: Error) => {
      this.#problem = error.message
    })
    this.#redis.on('ready', this.#onReady)
    this.#redis.on('end', () => this.end(this.#problem || CLOSED))
    const { onMessage, onMoved } = options
    if (onMessage !== undefined) {
      this.#redis.on('messageBuffer', onMessage)
      this.#redis.on('smessageBuffer', onMessage)
    }
    if (onMoved !== undefined) this.#redis.on('moved', onMoved)
    this.#timer = wheel.schedule(limits.connectTimeoutMs, this.#onConnectTimeout)
    // What it rejects with was an error event before.
    this.#redis.connect().catch(() => {})
  }

  /** One command; only while it is ready. Strings come back as Buffers. Rejects with the server's words. */
  run(command: string, args: RedisArgument[]): Promise<unknown> {
    this.#cork()
    return this.#redis.callBuffer(command, args)
  }

  /**
   * Whether the script has gone over this link before; from now on it has. Who sends it whole the first time never hears
   * NOSCRIPT, and so its calls stay in their order.
   */
  knows(hash: string): boolean {
    if (this.#scripts.has(hash)) return true
    if (this.#scripts.size >= SCRIPTS_MAX) this.#scripts.clear()
    this.#scripts.add(hash)
    return false
  }

  subscribe(channel: string, isSharded: boolean): Promise<unknown> {
    this.#cork()
    return isSharded ? this.#redis.ssubscribe(channel) : this.#redis.subscribe(channel)
  }

  unsubscribe(channel: string, isSharded: boolean): Promise<unknown> {
    this.#cork()
    return isSharded ? this.#redis.sunsubscribe(channel) : this.#redis.unsubscribe(channel)
  }

  /** Channels of a Cluster that the server has not taken back. */
  shardedChannels(): ReadonlySet<string> {
    const subscriber = this.#redis.condition?.subscriber
    return new Set(subscriber ? subscriber.channels('ssubscribe') : [])
  }

  /** At once: open commands are rejected. */
  end(problem: string): void {
    if (this.state === 'ended') return
    this.state = 'ended'
    this.#options.wheel.cancel(this.#timer)
    this.#redis.disconnect()
    // An orderly end would wait for a server that may be frozen.
    this.#redis.stream?.destroy()
    this.#options.onEnded(this, problem)
  }

  // The commands of one turn leave in one system call.
  #cork(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    const { stream } = this.#redis
    stream.cork()
    queueMicrotask(() => {
      this.#isCorked = false
      stream.uncork()
    })
  }

  readonly #onConnectTimeout = (): void => {
    const { connectTimeoutMs } = this.#options.limits
    this.end(this.#problem || `not connected within ${connectTimeoutMs} ms`)
  }

  readonly #onReady = (): void => {
    if (this.state !== 'connecting') return
    this.state = 'ready'
    const { wheel, limits, onReady } = this.#options
    wheel.cancel(this.#timer)
    this.#lookedMs = this.#options.clock.nowMs()
    this.#timer = wheel.schedule(limits.pingMs, this.#probe)
    onReady(this)
  }

  // A server that only has much to do still sends something; one that hangs, or a connection that is dead, does not.
  readonly #probe = (): void => {
    if (this.state !== 'ready') return
    const { clock, wheel, limits } = this.#options
    const nowMs = clock.nowMs()
    const { bytesRead } = this.#redis.stream
    // When this thread itself stood still, an answer may be there that nobody has read.
    const isLate = nowMs - this.#lookedMs > 2 * limits.pingMs
    this.#lookedMs = nowMs
    if (this.#probedMs === undefined) {
      this.#probedMs = nowMs
      void this.#sendProbe(nowMs)
    } else if (bytesRead !== this.#bytesRead || isLate) {
      this.#probedMs = nowMs
    } else if (nowMs - this.#probedMs >= limits.pingTimeoutMs) {
      this.end(`no answer within ${limits.pingTimeoutMs} ms`)
      return
    }
    this.#bytesRead = bytesRead
    const leftMs = this.#probedMs + limits.pingTimeoutMs - nowMs
    this.#timer = wheel.schedule(Math.min(limits.pingMs, leftMs), this.#probe)
  }

  async #sendProbe(sentMs: number): Promise<void> {
    // A demoted master still answers PING, and takes messages that reach nobody: where a failover is to be expected, the
    // probe asks what it is.
    const isWatched = this.#options.address.kind === 'sentinel'
    try {
      const reply = await this.run(isWatched ? 'role' : 'ping', [])
      this.roundTripMs = this.#options.clock.nowMs() - sentMs
      this.#probedMs = undefined
      if (isWatched && Array.isArray(reply) && String(reply[0]) !== 'master')
        this.end('READONLY it is no master any more')
    } catch (error) {
      // ROLE may be forbidden to this user; then all there is to learn is that the server lives.
      this.#probedMs = undefined
      this.#problem = error instanceof Error ? error.message : String(error)
    }
  }
}

function redisOptionsOf(options: RedisLinkOptions): RedisOptions & { replyMapping: 'legacy' } {
  const { address, endpoint, attempt, limits } = options
  const { endpoints, kind } = address
  const first = endpoints[0] as RedisEndpoint
  const start = attempt % endpoints.length
  return {
    ...(kind === 'sentinel'
      ? {
          sentinels: [...endpoints.slice(start), ...endpoints.slice(0, start)],
          name: address.master,
          sentinelRetryStrategy: () => null,
          sentinelCommandTimeout: limits.connectTimeoutMs,
          ...(address.sentinelPassword === undefined ? {} : { sentinelPassword: address.sentinelPassword }),
          ...(address.tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
        }
      : { host: (endpoint ?? first).host, port: (endpoint ?? first).port }),
    ...(address.tls ? { tls: {} } : {}),
    ...(address.user === undefined ? {} : { username: address.user }),
    ...(address.password === undefined ? {} : { password: address.password }),
    db: address.database,
    connectionName: 'polyloop',
    replyMapping: 'legacy',
    lazyConnect: true,
    connectTimeout: limits.connectTimeoutMs,
    maxLoadingRetryTime: limits.connectTimeoutMs,
    retryStrategy: () => null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: null,
  }
}
