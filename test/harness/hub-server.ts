// The hub as a process on free ports, and what its clients need to come in.
import type { ClientOptions } from 'ws'
import { signToken } from './chat-token.ts'
import { HubClient } from './hub-client.ts'
import { type Server, type ServerOptions, type Settings, startServer } from './server.ts'
import { shardOf } from './shard-key.ts'

export const SECRET = 'a secret of at least thirty-two bytes'
export const CHANNELS = ['metrics', 'signals', 'actions', 'logs', 'status', 'connections'] as const
/** For `rateLimits`: who publishes for a test is not limited. */
export const MANY_BROADCASTS = 'broadcast=100000/100000'
const SHARDS = 2
const NEVER = '1h'

export interface HubOptions extends Omit<ServerOptions, 'settings'> {
  /** Below `services.hub`. */
  readonly hub?: Settings
  readonly settings?: Settings
}

export interface Entrance {
  /** Of a token made for it; undefined: anonymous. */
  readonly claims?: object
  /** Further parts of the query. */
  readonly query?: Readonly<Record<string, string>>
  readonly options?: ClientOptions
}

export class HubServer implements AsyncDisposable {
  readonly server: Server
  readonly #shards: number

  private constructor(server: Server, shards: number) {
    this.server = server
    this.#shards = shards
  }

  /** Alone, with a secret, and quiet: metrics only come when they are asked for. */
  static async start({ hub = {}, settings = {}, shards = SHARDS, ...rest }: HubOptions = {}): Promise<HubServer> {
    const own: Settings = { 'jwt.secret': SECRET, metricsInterval: NEVER, ...hub }
    const server = await startServer({
      ...rest,
      shards,
      services: ['hub'],
      settings: {
        ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`services.hub.${key}`, value])),
        ...settings,
      },
    })
    return new HubServer(server, shards)
  }

  url({ claims, query = {} }: Entrance = {}): string {
    const search = new URLSearchParams({ ...(claims === undefined ? {} : { token: tokenOf(claims) }), ...query })
    return this.server.url('hub.ws', `/ws${search.size === 0 ? '' : `?${search}`}`)
  }

  /** Opened, and its `connected` read. */
  async enter(entrance: Entrance = {}): Promise<HubClient> {
    const client = await HubClient.open(this.url(entrance), entrance.options)
    await client.enter()
    return client
  }

  /** The same, with a session of that shard, as long as nothing has moved. */
  async enterOn(shard: number, entrance: Entrance = {}): Promise<HubClient> {
    for (;;) {
      const client = await this.enter(entrance)
      if (shardOf(`hub:${client.id}`, this.#shards) === shard) return client
      await client.leave()
    }
  }

  admin(query: Readonly<Record<string, string>> = {}): Promise<HubClient> {
    return this.enter({ claims: { sub: 'admin' }, query })
  }

  /** With a reconnection token; `connected` is read. */
  resume(token: string, entrance: Entrance = {}): Promise<HubClient> {
    return this.enter({ ...entrance, query: { ...entrance.query, reconnection_token: token } })
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.server.port('hub.ws')}${path}`, init)
  }

  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return this.fetch(path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: text })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}

export function tokenOf(claims: object): string {
  return signToken({ secret: SECRET, claims })
}

export function bearer(claims: object): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${tokenOf(claims)}` }
}
