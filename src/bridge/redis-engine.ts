// The bridge of hosts that share a Redis: one server, a master that Sentinels watch, or a Cluster. Calls are pipelined
// over one connection per server, channels come over another. While the server is away calls fail at once, and nothing
// is sent twice: only what the server has refused unseen goes another way.
import type { LimitedLogger } from '../observe/logger.ts'
import {
  type BridgeCall,
  type BridgeEngine,
  type BridgeEvents,
  type CallOutcome,
  done,
  type EngineFigures,
  errorOfFailure,
  failed,
} from './bridge-engine.ts'
import { nameProblem, problemOf } from './bridge-rule.ts'
import { RedisCluster } from './redis-cluster.ts'
import { commandFor, commandOf, type RedisCommand, withText } from './redis-command.ts'
import { durabilityOf } from './redis-durability.ts'
import { failureOfCommand, failureOfLine, replyCodeOf } from './redis-failure.ts'
import { RedisGroup } from './redis-group.ts'
import type { RedisLink } from './redis-link.ts'
import type { RedisEngineOptions } from './redis-options.ts'
import { type RedisRouter, SingleRouter } from './redis-router.ts'
import type { RedisServer } from './redis-server.ts'

/** Ways that a call tries in a Cluster whose slots are moving. */
const REDIRECTS_MAX = 5
/** Charged for each call beside its bytes: about what ioredis needs for it. */
const CALL_BYTES = 512
const STATES_LOGGED_PER_SECOND = 1
const CLOSED = 'the bridge is closed'
const NO_GROUP = 'store.redis.ack is not `disk`'

export class RedisEngine implements BridgeEngine {
  readonly #options: RedisEngineOptions
  readonly #events: BridgeEvents
  readonly #router: RedisRouter
  readonly #group: RedisGroup | undefined
  readonly #log: { readonly up: LimitedLogger; readonly down: LimitedLogger }
  #isUp = false
  #isClosed = false
  #outboxCalls = 0
  #outboxBytes = 0
  #reconnects = 0

  constructor(options: RedisEngineOptions, events: BridgeEvents) {
    this.#options = options
    this.#events = events
    this.#log = {
      up: options.log.limited('bridge.up', STATES_LOGGED_PER_SECOND),
      down: options.log.limited('bridge.down', STATES_LOGGED_PER_SECOND),
    }
    const routerOptions = {
      ...options,
      onMessage: (channel: string, payload: Buffer) => events.onMessage(channel, payload),
      onGap: (channels: readonly string[]) => events.onGap(channels),
      onChange: () => this.#onChange(),
      onReconnect: () => {
        this.#reconnects++
      },
    }
    const isCluster = options.address.kind === 'cluster'
    this.#router = isCluster ? new RedisCluster(routerOptions) : new SingleRouter(routerOptions)
    const { disk } = options
    if (disk !== undefined) this.#group = new RedisGroup({ ...options, disk, onReconnect: routerOptions.onReconnect })
  }

  get figures(): EngineFigures {
    let roundTripMs = 0
    for (const { commands } of this.#router.servers) {
      roundTripMs = Math.max(roundTripMs, commands.link?.roundTripMs ?? 0)
    }
    return {
      isUp: this.#isUp,
      problem: this.#isUp ? '' : this.#router.problem,
      reconnects: this.#reconnects,
      roundTripMs,
      outboxCalls: this.#outboxCalls,
      outboxBytes: this.#outboxBytes,
    }
  }

  async run(call: BridgeCall): Promise<CallOutcome> {
    const problem = problemOf(call)
    if (problem !== undefined) return failed('BRIDGE_REFUSED', problem)
    if (this.#isClosed) return failed('BRIDGE_DOWN', CLOSED)
    const { limits, clock } = this.#options
    if (this.#outboxCalls >= limits.outboxCallsMax) return failed('BRIDGE_BUSY', `${this.#outboxCalls} calls wait`)
    const bytes = CALL_BYTES + bytesOf(call)
    // An empty outbox takes any call, else one larger than the bound could never be done.
    if (this.#outboxCalls > 0 && this.#outboxBytes + bytes > limits.outboxBytesMax) {
      return failed('BRIDGE_BUSY', `${this.#outboxBytes} bytes wait`)
    }
    this.#outboxCalls++
    this.#outboxBytes += bytes
    const startMs = clock.nowMs()
    try {
      if (call.operation === 'ping') {
        const outcome = await this.#send(PING, 0)
        return outcome.ok ? done({ ms: clock.nowMs() - startMs }) : outcome
      }
      const { isSharded } = this.#router
      const command = commandOf(call, { isSharded, readBytesMax: limits.readBytesMax })
      if (call.operation !== 'script' || call.argument.onDisk !== true) return await this.#send(command, 0)
      return (await this.#group?.run(command)) ?? failed('BRIDGE_REFUSED', NO_GROUP)
    } finally {
      this.#outboxCalls--
      this.#outboxBytes -= bytes
    }
  }

  async subscribe(channel: string): Promise<void> {
    const problem = nameProblem(channel)
    if (problem !== undefined) throw errorOfFailure(failed('BRIDGE_REFUSED', problem), 'subscribe')
    for (let redirects = 0; ; redirects++) {
      const server = this.#router.serverOf(channel)
      if (server === undefined) throw errorOfFailure(failureOfLine(this.#problem()), 'subscribe')
      let refusal: unknown
      try {
        await server.subscriber.subscribe(channel)
        if (this.#router.serverOf(channel) === server) return
        // Its slot went elsewhere meanwhile.
        server.subscriber.unsubscribe(channel)
      } catch (error) {
        refusal = error
      }
      if (redirects >= REDIRECTS_MAX || (refusal !== undefined && !isMoved(refusal))) throw refusal
      await this.#router.refresh()
    }
  }

  unsubscribe(channel: string): void {
    for (const { subscriber } of this.#router.servers) if (subscriber.has(channel)) subscriber.unsubscribe(channel)
  }

  close(): Promise<void> {
    this.#isClosed = true
    this.#router.close(CLOSED)
    this.#group?.close(CLOSED)
    return Promise.resolve()
  }

  async #send(command: RedisCommand, redirects: number, at?: RedisServer, isAsking = false): Promise<CallOutcome> {
    const server = at ?? this.#router.serverOf(command.key)
    const link = server?.commands.link
    if (server === undefined || link === undefined) return failureOfLine(server?.commands.problem || this.#problem())
    try {
      if (isAsking) link.run('asking', []).catch(() => {})
      const { name, args } = commandFor(link, command)
      return done(command.answerOf(await link.run(name, args)))
    } catch (error) {
      return this.#again(command, error, redirects, server, link) ?? failureOfCommand(error)
    }
  }

  /** The server has refused, and done nothing: there may be another way. */
  #again(
    command: RedisCommand,
    error: unknown,
    redirects: number,
    server: RedisServer,
    link: RedisLink,
  ): Promise<CallOutcome> | undefined {
    const code = replyCodeOf(error)
    if (code === 'READONLY') server.readOnly('READONLY it is no master any more')
    if (redirects >= REDIRECTS_MAX || server.commands.link !== link) return undefined
    if (code === 'NOSCRIPT' && command.script !== undefined) {
      return this.#send(withText(command, command.script), redirects + 1, server)
    }
    if (code !== 'MOVED' && code !== 'ASK') return undefined
    const isAsk = code === 'ASK'
    if (!isAsk) void this.#router.refresh()
    const next = this.#router.serverAt((error as Error).message)
    if (next !== undefined) return this.#send(command, redirects + 1, next, isAsk)
    return isAsk ? undefined : this.#router.refresh().then(() => this.#send(command, redirects + 1))
  }

  /** At each connection: it may be another server, or another configuration. */
  async #checkDurability(): Promise<void> {
    const { keepsStore, disk, log } = this.#options
    const link = this.#router.serverOf(undefined)?.commands.link
    if (keepsStore !== true || link === undefined) return
    const { problems, unknown } = await durabilityOf(link, disk !== undefined)
    for (const problem of problems) log.warn('store.not_durable', { problem })
    if (unknown !== '') log.info('store.durability_unknown', { problem: unknown })
  }

  #problem(): string {
    return this.#router.problem || 'no node has this slot'
  }

  #onChange(): void {
    // The first changes come while the router is being made.
    if (this.#router === undefined || this.#isClosed) return
    const { isUp, problem } = this.#router
    if (isUp === this.#isUp) return
    this.#isUp = isUp
    const server = this.#options.address.shown
    if (isUp) {
      this.#log.up.info({ server })
      void this.#checkDurability()
    } else this.#log.down.warn({ server, problem })
    this.#events.onState(isUp, problem)
  }
}

const PING: RedisCommand = { name: 'ping', args: [], key: undefined, answerOf: () => undefined }

function isMoved(error: unknown): boolean {
  const { details } = error as { readonly details?: { readonly problem?: unknown } }
  return String(details?.problem).startsWith('MOVED ')
}

/** What it brings to the server. */
function bytesOf({ operation, argument }: BridgeCall): number {
  switch (operation) {
    case 'publish':
    case 'append':
      return argument.payload.length
    case 'set':
      return argument.value.length
    case 'script':
      return argument.args.reduce<number>((sum, value) => sum + (typeof value === 'number' ? 8 : value.length), 0)
    default:
      return 0
  }
}
