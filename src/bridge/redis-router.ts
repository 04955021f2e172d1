// Which server has what. One server has everything; a Cluster is redis-cluster.ts.
import type { RedisEndpoint } from '../lib/redis-address.ts'
import { RedisServer, type RedisServerOptions } from './redis-server.ts'

export type RouterOptions = Omit<RedisServerOptions, 'endpoint' | 'isSharded' | 'onMoved'>

export interface RedisRouter {
  /** Channels belong to slots, as keys do. */
  readonly isSharded: boolean
  readonly servers: Iterable<RedisServer>
  readonly isUp: boolean
  /** Empty while it is up. */
  readonly problem: string
  /** Of a key or channel; without one, of any. Undefined: nobody knows, or nobody has it. */
  serverOf(key: string | undefined): RedisServer | undefined
  /** Where the server says that the key is: `MOVED 3999 127.0.0.1:6381`. */
  serverAt(redirection: string): RedisServer | undefined
  /** Asks anew who has what. */
  refresh(): Promise<void>
  close(problem: string): void
}

export class SingleRouter implements RedisRouter {
  readonly isSharded = false
  readonly servers: readonly [RedisServer]

  constructor(options: RouterOptions) {
    // With Sentinels each connection asks them for the master.
    const endpoint: RedisEndpoint | undefined = undefined
    this.servers = [new RedisServer({ ...options, endpoint, isSharded: false, onMoved: () => {} })]
  }

  get isUp(): boolean {
    return this.servers[0].isUp
  }

  get problem(): string {
    return this.servers[0].problem
  }

  serverOf(): RedisServer {
    return this.servers[0]
  }

  serverAt(): undefined {
    return undefined
  }

  refresh(): Promise<void> {
    return Promise.resolve()
  }

  close(problem: string): void {
    this.servers[0].close(problem)
  }
}
