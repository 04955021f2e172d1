// The masters of a Redis Cluster, and which slots each has. The map is asked for every few seconds, and whenever a node
// is lost or says that it has not what it was asked for. When slots move, the channels in them move too, and their
// listeners hear of a gap: what was said between the two subscriptions is not known.

import type { RedisEndpoint } from '../lib/redis-address.ts'
import { NO_TIMER, type TimerHandle } from '../timer/wheel.ts'
import { CLUSTER_SLOTS, keySlotOf } from './key-slot.ts'
import { RedisLink } from './redis-link.ts'
import { pauseMsOf } from './redis-options.ts'
import type { RedisRouter, RouterOptions } from './redis-router.ts'
import { RedisServer } from './redis-server.ts'

/** A map is not asked for again sooner: many keys may have moved at once. */
const REFRESH_MIN_MS = 100
const GONE = 'it is no master of the Cluster any more'

export class RedisCluster implements RedisRouter {
  readonly isSharded = true
  readonly #options: RouterOptions
  readonly #byName = new Map<string, RedisServer>()
  readonly #slots: (RedisServer | undefined)[] = new Array(CLUSTER_SLOTS).fill(undefined)
  /** The last map, as text: most of the time nothing has changed. */
  #map = ''
  #problem = 'it is not connected yet'
  #attempt = 0
  #refreshing: Promise<void> | undefined
  #askedMs = Number.NEGATIVE_INFINITY
  #timer: TimerHandle = NO_TIMER
  #seed: RedisLink | undefined
  #isClosed = false

  constructor(options: RouterOptions) {
    this.#options = options
    void this.refresh()
  }

  get servers(): Iterable<RedisServer> {
    return this.#byName.values()
  }

  get isUp(): boolean {
    return this.problem === ''
  }

  get problem(): string {
    if (this.#problem !== '') return this.#problem
    for (const [name, { problem }] of this.#byName) if (problem !== '') return `${name}: ${problem}`
    return ''
  }

  serverOf(key: string | undefined): RedisServer | undefined {
    if (key !== undefined) return this.#slots[keySlotOf(key)]
    for (const server of this.#byName.values()) if (server.commands.link !== undefined) return server
    return undefined
  }

  serverAt(redirection: string): RedisServer | undefined {
    return this.#byName.get(redirection.split(' ')[2] ?? '')
  }

  refresh(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.#refreshing ??= this.#ask().finally(() => {
      this.#refreshing = undefined
      if (this.#isClosed) return
      const { limits, wheel } = this.#options
      wheel.cancel(this.#timer)
      const pauseMs = this.#problem === '' ? limits.clusterRefreshMs : pauseMsOf(this.#attempt, this.#options)
      this.#timer = wheel.schedule(pauseMs, () => void this.refresh())
    })
    return this.#refreshing
  }

  close(problem: string): void {
    this.#isClosed = true
    this.#options.wheel.cancel(this.#timer)
    this.#seed?.end(problem)
    for (const server of this.#byName.values()) server.close(problem)
    this.#byName.clear()
    this.#slots.fill(undefined)
  }

  async #ask(): Promise<void> {
    const { clock, wheel } = this.#options
    const sinceMs = clock.nowMs() - this.#askedMs
    if (sinceMs < REFRESH_MIN_MS) {
      await new Promise<void>((resolve) => void wheel.schedule(REFRESH_MIN_MS - sinceMs, resolve))
    }
    this.#askedMs = clock.nowMs()
    const before = this.problem
    try {
      const { link, endpoint, isSeed } = await this.#anyLink()
      try {
        this.#apply(nodesOf(await link.run('cluster', ['slots']), endpoint))
      } finally {
        if (isSeed) link.end('it was asked')
      }
      this.#attempt = 0
    } catch (error) {
      this.#attempt++
      // A node that cannot answer is no reason to give up what is known.
      if (this.#byName.size === 0) this.#problem = error instanceof Error ? error.message : String(error)
    }
    if (!this.#isClosed && this.problem !== before) this.#options.onChange()
  }

  /** Some node's connection; without one a new one to a node of the address. Another one each time. */
  #anyLink(): Promise<{ link: RedisLink; endpoint: RedisEndpoint; isSeed: boolean }> {
    const ready = [...this.#byName.values()].filter(({ commands }) => commands.link !== undefined)
    const server = ready[this.#attempt % Math.max(1, ready.length)]
    const link = server?.commands.link
    if (link !== undefined && server?.endpoint !== undefined) {
      return Promise.resolve({ link, endpoint: server.endpoint, isSeed: false })
    }
    const { endpoints } = this.#options.address
    const endpoint = endpoints[this.#attempt % endpoints.length] as RedisEndpoint
    return new Promise((resolve, reject) => {
      this.#seed = new RedisLink({
        ...this.#options,
        onMessage: undefined,
        onMoved: undefined,
        endpoint,
        attempt: 0,
        onReady: (seed) => resolve({ link: seed, endpoint, isSeed: true }),
        onEnded: (_link, problem) => reject(new Error(problem)),
      })
    })
  }

  #apply(nodes: readonly SlotRange[]): void {
    if (this.#isClosed) return
    const map = JSON.stringify(nodes)
    this.#problem = nodes.length === 0 ? 'CLUSTERDOWN no node has any slot' : ''
    if (map === this.#map) return
    this.#map = map
    this.#slots.fill(undefined)
    const gone = new Set(this.#byName.keys())
    for (const { first, last, endpoint } of nodes) {
      const name = `${endpoint.host}:${endpoint.port}`
      gone.delete(name)
      const server = this.#byName.get(name) ?? this.#add(name, endpoint)
      this.#slots.fill(server, first, last + 1)
    }
    this.#moveChannels()
    for (const name of gone) {
      const server = this.#byName.get(name)
      this.#byName.delete(name)
      server?.close(GONE)
    }
  }

  #add(name: string, endpoint: RedisEndpoint): RedisServer {
    const onMoved = (): void => void this.refresh()
    const server = new RedisServer({
      ...this.#options,
      endpoint,
      isSharded: true,
      onMoved,
      onChange: () => {
        this.#options.onChange()
        if (this.#byName.get(name) === server && !server.isUp) void this.refresh()
      },
    })
    this.#byName.set(name, server)
    return server
  }

  #moveChannels(): void {
    const moved = new Map<RedisServer, string[]>()
    for (const { subscriber } of this.#byName.values()) {
      for (const channel of [...subscriber.channels]) {
        const owner = this.serverOf(channel)
        if (owner === undefined || owner.subscriber === subscriber || !subscriber.isPromised(channel)) continue
        subscriber.unsubscribe(channel)
        const list = moved.get(owner) ?? []
        if (list.length === 0) moved.set(owner, list)
        list.push(channel)
      }
    }
    for (const [owner, channels] of moved) owner.subscriber.adopt(channels)
  }
}

interface SlotRange {
  readonly first: number
  readonly last: number
  readonly endpoint: RedisEndpoint
}

/** Of `CLUSTER SLOTS`: first slot, last slot, master, replicas. A node that does not know its own name leaves it empty. */
function nodesOf(reply: unknown, asked: RedisEndpoint): SlotRange[] {
  const ranges: SlotRange[] = []
  for (const range of reply as readonly (readonly unknown[])[]) {
    const [first, last, master] = range
    if (!Array.isArray(master)) continue
    const [host, port] = master as readonly unknown[]
    const name = host === null ? '' : String(host)
    const endpoint = { host: name === '' || name === '?' ? asked.host : name, port: Number(port) }
    ranges.push({ first: Number(first), last: Number(last), endpoint })
  }
  return ranges
}
