// Chat's TCP edge on two event loops between which connections move, with the real actors and the store of ActorWorld
// behind it. Time is manual. A topic answers when told, and what is published arrives when told.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import type { TopicEvent } from '../../../src/actor/topic-connection.ts'
import type { Connection } from '../../../src/net/connection.ts'
import type { NetLimits } from '../../../src/net/event-loop.ts'
import type { TcpHandler } from '../../../src/net/handler.ts'
import { TokenBuckets } from '../../../src/net/token-buckets.ts'
import { ThreadMetrics } from '../../../src/observe/metrics.ts'
import type { ChatConfig } from '../../../src/services/chat/config.ts'
import { ChatEdge, type EdgeContext } from '../../../src/services/chat/edge.ts'
import { tcpHandler } from '../../../src/services/chat/tcp.ts'
import type { TcpDialog } from '../../../src/services/chat/tcp-dialog.ts'
import { turn } from '../../net/loop-fixture.ts'
import { MoveFixture } from '../../net/move-fixture.ts'
import { ActorWorld } from './actor-world.ts'

const GIVE_UP_MS = 10_000

export interface TcpWorldOptions {
  readonly config?: Partial<ChatConfig>
  readonly limits?: Partial<NetLimits>
}

/** What a client got: whole lines. */
export class Lines {
  ended = false
  readonly #client: Socket
  #bytes = Buffer.alloc(0)

  constructor(client: Socket) {
    this.#client = client
    client.on('data', (data: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, data])
    })
    client.on('end', () => {
      this.ended = true
    })
  }

  get all(): string[] {
    const lines = this.#bytes.toString().split('\n')
    assert.equal(this.#client.errored, null)
    assert.ok(!this.ended || lines.at(-1) === '', 'the last line has its end')
    return lines.slice(0, -1)
  }
}

export class TcpWorld implements AsyncDisposable {
  readonly actors: ActorWorld
  readonly net: MoveFixture
  readonly edges: readonly [ChatEdge, ChatEdge]
  readonly metrics = [new ThreadMetrics(), new ThreadMetrics()] as const
  /** Ids of connections by topic. */
  readonly subscribers = new Map<string, Set<number>>()
  /** What becomes of a subscription; `none`: its topic does not answer. */
  topicAnswer: 'subscribed' | 'refused' | 'none' = 'subscribed'

  constructor({ config, limits = {} }: TcpWorldOptions = {}) {
    this.actors = new ActorWorld(config === undefined ? {} : { config })
    const buckets = new TokenBuckets(TokenBuckets.allocate(), this.actors.shards.timers.clock)
    this.edges = [this.#edge(0, buckets), this.#edge(1, buckets)]
    const [here, there] = this.edges.map((edge) => ({ tcp: tcpHandler(edge) as TcpHandler }))
    assert.ok(here !== undefined && there !== undefined)
    this.net = new MoveFixture(here, { there, limits })
  }

  async open(): Promise<{ client: Socket; connection: Connection<TcpDialog>; lines: Lines }> {
    const { client, connection } = await this.net.pair<TcpDialog>()
    return { client, connection, lines: new Lines(client) }
  }

  /** Goes on until something is true: actors, the store, and what they publish. */
  async until(what: string, predicate: () => boolean): Promise<void> {
    const giveUpMs = performance.now() + GIVE_UP_MS
    while (!predicate()) {
      if (performance.now() > giveUpMs) throw new Error(`did not happen: ${what}`)
      await this.step()
    }
    assert.deepEqual(this.net.failures, [])
  }

  /** Once round: everything that can happen now. */
  async step(): Promise<void> {
    await this.actors.run()
    for (const published of this.actors.takePublished()) {
      const space = published.indexOf(' ')
      this.deliver(published.slice(0, space), published.slice(space + 1))
    }
    await turn()
  }

  /** All that was sent has been handled, as far as it can be. */
  async settle(bytesIn: number): Promise<void> {
    await this.until(`${bytesIn} bytes`, () => this.net.bytesIn >= bytesIn)
    for (let round = 0; round < 3; round++) await this.step()
  }

  async pass(ms: number): Promise<void> {
    this.net.timers.run(ms)
    await this.actors.pass(ms)
    await this.step()
  }

  deliver(topic: string, line: string): void {
    for (const id of this.subscribers.get(topic) ?? []) this.net.at(id)?.sendShared(Buffer.from(line), 1)
  }

  tell(connection: Connection<TcpDialog>, event: TopicEvent): void {
    connection.state.hear(event)
  }

  /** The value of a counter or gauge of one loop. */
  async count(side: 0 | 1, name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const family = (await this.metrics[side].collect()).find((one) => one.name === name)
    const found = family?.values.filter((one) =>
      Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    )
    return found?.reduce((sum, { value }) => sum + value, 0) ?? Number.NaN
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.net[Symbol.asyncDispose]()
  }

  #edge(side: 0 | 1, buckets: TokenBuckets): ChatEdge {
    const { actors } = this
    const { clock, wheel } = actors.shards.timers
    const context: EdgeContext = {
      config: actors.config,
      clock,
      metrics: this.metrics[side],
      after: (delayMs, callback) => {
        const handle = wheel.schedule(delayMs, callback, undefined)
        return () => wheel.cancel(handle)
      },
      actor: ((definition: { kind: string }, id: string) =>
        definition.kind === 'chat' ? actors.chat(id) : actors.presence) as unknown as EdgeContext['actor'],
      subscribe: (connection, topic) => {
        if (!connection.open) return 'closed'
        const ids = this.subscribers.get(topic) ?? new Set()
        this.subscribers.set(topic, ids.add(connection.id))
        const type = this.topicAnswer
        if (type === 'refused') this.tell(connection as Connection<TcpDialog>, { type, topic })
        else if (type === 'subscribed') this.tell(connection as Connection<TcpDialog>, subscribed(topic))
        return 'accepted'
      },
      unsubscribe: (connection, topic) => this.subscribers.get(topic)?.delete(connection.id) === true,
      takeToken: (key, rate, burst) => buckets.take(key, rate, burst),
    }
    return new ChatEdge(context)
  }
}

export function subscribed(topic: string): TopicEvent {
  return { type: 'subscribed', topic, epoch: 1, offset: 0, recovered: false, missed: 0 }
}
