// What the connections of one shard have in common: the channels, the sessions, who may do what, the counters, the way to
// other shards.
import { randomUUID } from 'node:crypto'
import type { ServiceContext } from '../service.ts'
import { TokenVerifier } from '../token.ts'
import { cut } from './assembly.ts'
import { Census, COUNT } from './census.ts'
import { ChannelLog } from './channel-log.ts'
import type { HubConfig } from './config.ts'
import { type HubCounters, hubCounters } from './counter.ts'
import { eventJson } from './event.ts'
import { HOST } from './host-name.ts'
import type { Member } from './member.ts'
import { Permissions } from './permission.ts'
import { publishEvent, topicOf } from './publisher.ts'
import type { PulseRules } from './pulse.ts'
import { rateTableOf } from './rate-limit.ts'
import type { Position } from './request.ts'
import { Restorer, type Surrender } from './restorer.ts'
import type { SessionRules } from './session.ts'
import { SessionBook } from './session-book.ts'
import type { KeptPosition } from './session-record.ts'
import { ShardLine } from './shard-line.ts'
import { shared } from './shared.ts'

const LOGGED_PER_SECOND = 5
const TIDY_MS = 5_000
/** How old the number of buffered events may be, for who asks for it, and for the census. */
const BUFFERED_MS = { asked: 1_000, counted: 5_000 } as const
const TAP_AGAIN_MS = 1_000
/** A broadcast in many pieces waits for room on its way, so often and so long. */
const ROOM_POLL_MS = 5
const ROOM_MS_MAX = 10_000
/** Clients that one part of a list has: it must fit into a message between hosts. */
const LIST_PART_MAX = 500
const LIST_MS_MAX = 1_000
/** How long a client that comes back, or subscribes, waits for a shard that is behind. */
const CATCH_UP_MS = 2_000

/** One client, as an administrator may see it. */
export interface ListedClient {
  readonly client_id: string
  readonly user_id: string | null
  /** Seconds since 1970. */
  readonly connected_at: number
  readonly channels: readonly string[]
  readonly last_heartbeat: number
}

/** For a while; then what is still waited for is let go of. */
interface Wait {
  isOver: boolean
  readonly cancels: (() => void)[]
}

export class HubEdge {
  readonly context: ServiceContext<HubConfig>
  readonly counters: HubCounters
  readonly permissions: Permissions
  readonly sessionRules: SessionRules
  readonly pulseRules: PulseRules
  readonly verifier: TokenVerifier
  readonly census: Census
  readonly book: SessionBook<Member>
  readonly restorer: Restorer<Member>
  /** What waits for sessions without a connection, on all shards of this host; at most a second old if all answer. Never rejects. */
  readonly buffered: () => Promise<number>
  /** This shard, in this life. */
  readonly shard: string = randomUUID()
  readonly logs: ReadonlyMap<string, ChannelLog>
  readonly #line: ShardLine
  readonly #barriers: ReadonlyMap<string, () => Promise<unknown>>
  readonly #members = new Set<Member>()
  /** Subscriptions by the channel's place, those held back included. */
  readonly #subscribers: number[]
  /** What events about one host carry in a cluster. */
  #ofHost: { readonly host?: string } = {}
  #sequence = 0
  #published = 0
  #bufferedCount = 0
  #bufferedMs = Number.NEGATIVE_INFINITY
  #cancelTidy: () => void = () => {}

  constructor(context: ServiceContext<HubConfig>) {
    const { config, clock, log, metrics, bridge, after } = context
    const { channels } = config
    this.context = context
    this.permissions = new Permissions(config)
    this.sessionRules = { clock, rates: rateTableOf(config), tokenTtlMs: config.tokenTtl, shard: this.shard }
    this.verifier = new TokenVerifier({ secret: config.jwt.secret, requireExp: config.jwt.requireExp, clock })
    this.#subscribers = channels.map(() => 0)
    const failed = log.limited('hub.store_failed', LOGGED_PER_SECOND)
    this.book = new SessionBook({ bridge, clock, after, failed, tokenTtlMs: config.tokenTtl })
    this.counters = hubCounters(metrics, {
      channels,
      subscribers: (channel) => this.subscribers(channel),
      buffered: () => this.#buffered(BUFFERED_MS.asked),
    })
    const { pingInterval: intervalMs, pingTimeout: timeoutMs } = config
    this.pulseRules = { clock, after, intervalMs, timeoutMs, latency: this.counters.heartbeat }
    this.logs = new Map(channels.map((channel) => [channel, this.#logOf(channel)]))
    // The answer comes from where the topic lives, behind whatever came from there before.
    const barrierOf = (channel: string): (() => Promise<unknown>) =>
      shared(() => context.presence(topicOf(channel)).catch(() => undefined))
    this.#barriers = new Map(channels.map((channel) => [channel, barrierOf(channel)]))
    this.#line = new ShardLine({
      bridge,
      after,
      shard: this.shard,
      host: HOST,
      answer: (question) => this.#answer(question),
      notice: (notice) => this.#notice(notice),
      // Questions may have been missed, and then who asked has taken what is here.
      gap: () => this.book.doubt(),
    })
    const { shard, book } = this
    this.restorer = new Restorer({ book, bridge, line: this.#line, clock, after, shard, failed })
    this.census = new Census(context, this.shard, () => this.#counts())
    this.buffered = shared(() => this.#bufferedInAll())
    this.#tidy()
    this.#learnHost()
  }

  /** Of each open connection; null: nobody. */
  *users(): Generator<string | null> {
    for (const { session } of this.#members) yield session.identity.userId
  }

  add(member: Member): void {
    this.#members.add(member)
    this.book.live.set(member.session.id, member)
    this.counters.connections.value = this.#members.size
  }

  remove(member: Member): void {
    if (!this.#members.delete(member)) return
    if (this.book.live.get(member.session.id) === member) this.book.live.delete(member.session.id)
    this.counters.connections.value = this.#members.size
  }

  /** A client has subscribed to a channel, or has not any more. */
  count(channel: string, change: 1 | -1): void {
    const index = this.context.config.channels.indexOf(channel)
    this.#subscribers[index] = (this.#subscribers[index] ?? 0) + change
  }

  /** On this shard. */
  subscribers(channel: string): number {
    return this.#subscribers[this.context.config.channels.indexOf(channel)] ?? 0
  }

  /** An event that the hub itself tells; nothing where there is no such channel. Nobody can be told when it is refused. */
  tell(channel: string, eventType: string, data: object): void {
    if (!this.permissions.isChannel(channel)) return
    this.#published++
    const { context } = this
    publishEvent(context, channel, eventJson(channel, eventType, JSON.stringify(data), context.clock.wallMs()))
  }

  /** On the channel `connections`, with how many there are in the process. */
  tellConnection({ clientId, session }: Member, eventType: string, more: object = {}): void {
    if (!this.permissions.isChannel('connections')) return
    void this.census.sync().then(([total = 0]) => {
      const { userId } = session.identity
      const data = { client_id: clientId, user_id: userId, total_connections: total, ...more, ...this.#ofHost }
      this.tell('connections', eventType, data)
    })
  }

  /** False: refused, the way there is full. */
  async broadcast(channel: string, payload: string | Buffer): Promise<boolean> {
    const { clock, after, publish } = this.context
    const untilMs = clock.nowMs() + ROOM_MS_MAX
    this.#published++
    const pieces = cut(payload)
    for (const [index, piece] of pieces.entries()) {
      while (!publish(topicOf(channel), piece)) {
        // Short ones are news: what does not fit now is refused.
        if ((pieces.length === 1 && index === 0) || clock.nowMs() > untilMs) return false
        await new Promise<void>((resolve) => void after(ROOM_POLL_MS, resolve))
      }
    }
    return true
  }

  /**
   * What was published to the channels before this was called is known here, and so is what is up to the positions; at the
   * latest after CATCH_UP_MS. Never rejects.
   */
  async catchUp(positions: readonly KeptPosition[]): Promise<void> {
    await this.#inTime((wait) =>
      positions.map(([channel, epoch, offset]) => this.#reached(channel, { epoch, offset }, wait)),
    )
  }

  /** The channels know their past, and so what is new; at the latest after CATCH_UP_MS. Never rejects. */
  async ready(channels: readonly string[]): Promise<void> {
    await this.#inTime((wait) => channels.map((channel) => this.#ready(channel, wait)))
  }

  /** What this shard has published to a channel before has its place. */
  async placed(channel: string): Promise<void> {
    await this.#barriers.get(channel)?.()
  }

  async #inTime(begin: (wait: Wait) => readonly Promise<void>[]): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const wait: Wait = { isOver: false, cancels: [this.context.after(CATCH_UP_MS, resolve)] }
    await Promise.race([Promise.all(begin(wait)), late])
    wait.isOver = true
    for (const cancel of wait.cancels) cancel()
  }

  async #ready(channel: string, { cancels }: Wait): Promise<void> {
    const log = this.logs.get(channel)
    if (log !== undefined) await new Promise<void>((resolve) => void cancels.push(log.whenReady(resolve)))
  }

  async #reached(channel: string, position: Position, wait: Wait): Promise<void> {
    const log = this.logs.get(channel)
    if (log === undefined) return
    await this.#ready(channel, wait)
    await this.placed(channel)
    if (wait.isOver) return
    await new Promise<void>((resolve) => void wait.cancels.push(log.whenReaches(position, resolve)))
  }

  /** Everybody who is connected to this host. */
  async clients(): Promise<readonly ListedClient[]> {
    const parts = await this.#line.askAll<readonly ListedClient[]>(
      { ask: 'clients' },
      this.context.shard.count,
      LIST_MS_MAX,
    )
    // While a reload moves them, two shards may name the same.
    return [...new Map(parts.flat().map((client) => [client.client_id, client])).values()]
  }

  async stop(): Promise<void> {
    this.#cancelTidy()
    this.census.stop()
    await this.book.stop()
  }

  /** Main knows whether there are others. */
  #learnHost(): void {
    const { status, after } = this.context
    Promise.resolve(status.health()).then(
      ({ bridge }) => {
        if (bridge?.kind === 'redis') this.#ofHost = { host: HOST }
      },
      () => after(TAP_AGAIN_MS, () => this.#learnHost()),
    )
  }

  #logOf(channel: string): ChannelLog {
    const { config, clock, log, tap, after } = this.context
    const strange = log.limited('hub.event_strange', LOGGED_PER_SECOND)
    const { size, bytes, ttl } = config.history
    const own = new ChannelLog({
      channel,
      limits: { countMax: size, bytesMax: bytes, ageMsMax: ttl },
      clock,
      sequence: () => ++this.#sequence,
      sent: (event, form, receivers) => {
        this.counters.channel(channel)[event.typeIn(form)].value += receivers
        this.counters.sentBytes.observe(event.frame(form).length)
      },
      strange: () => {
        this.counters.error('message_handling')
        strange.warn({ channel })
      },
    })
    const tapped = tap(topicOf(channel), own)
    own.refused = () => void after(TAP_AGAIN_MS, () => tapped.retry())
    return own
  }

  #answer(question: unknown): readonly unknown[] | undefined {
    const { ask } = question as { readonly ask?: unknown }
    if (ask === 'surrender') return [this.restorer.surrender(question as Surrender)]
    if (ask === 'buffered') return [this.#buffered(BUFFERED_MS.asked)]
    return ask === 'clients' ? this.#listed() : undefined
  }

  #notice(notice: unknown): void {
    const { back } = notice as { readonly back?: unknown }
    if (typeof back === 'string') this.book.back(back)
  }

  #listed(): readonly (readonly ListedClient[])[] {
    const all = [...this.#members].map((member) => member.listed())
    const parts: ListedClient[][] = []
    for (let at = 0; at < all.length; at += LIST_PART_MAX) parts.push(all.slice(at, at + LIST_PART_MAX))
    return parts.length === 0 ? [[]] : parts
  }

  #counts(): readonly number[] {
    return [this.#members.size, this.#published, this.#buffered(BUFFERED_MS.counted), ...this.#subscribers]
  }

  async #bufferedInAll(): Promise<number> {
    const { count } = this.context.shard
    const parts = await this.#line.askAll<number>({ ask: 'buffered' }, count, LIST_MS_MAX)
    // One that hangs has told the census before.
    if (parts.length < count) return (await this.census.sync())[COUNT.buffered] ?? 0
    return parts.reduce((sum, part) => sum + part, 0)
  }

  /** A look at every session that is away: not for each question. */
  #buffered(ageMsMax: number): number {
    const nowMs = this.context.clock.nowMs()
    if (nowMs - this.#bufferedMs < ageMsMax) return this.#bufferedCount
    this.#bufferedMs = nowMs
    this.#bufferedCount = this.#countBuffered()
    return this.#bufferedCount
  }

  #countBuffered(): number {
    const countOf = ([channel, epoch, offset]: KeptPosition): number =>
      this.logs.get(channel)?.countAfter({ epoch, offset }) ?? 0
    return this.book.buffered(countOf, this.context.config.bufferSize)
  }

  #tidy(): void {
    this.#cancelTidy = this.context.after(TIDY_MS, () => {
      for (const log of this.logs.values()) log.tidy()
      this.#tidy()
    })
  }
}
