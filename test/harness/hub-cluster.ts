// Hosts of the hub that share one Redis, each a process with one shard.
import assert from 'node:assert/strict'
import { HubServer } from './hub-server.ts'
import { type RedisServer, startRedis } from './redis.ts'
import type { Settings } from './server.ts'

export class HubCluster implements AsyncDisposable {
  readonly redis: RedisServer
  /** Who replaces one of them puts the new one here. */
  readonly hosts: HubServer[] = []
  readonly #hub: Settings

  private constructor(redis: RedisServer, hub: Settings) {
    this.redis = redis
    this.#hub = hub
  }

  /** `hub`: settings below `services.hub`, of every host. */
  static async start(count: number, hub: Settings): Promise<HubCluster> {
    const cluster = new HubCluster(await startRedis(), hub)
    cluster.hosts.push(...(await Promise.all(Array.from({ length: count }, () => cluster.startHost()))))
    return cluster
  }

  /** One more, which whoever asks for it has to end, or to put among the hosts. */
  startHost(): Promise<HubServer> {
    return HubServer.start({ shards: 1, hub: this.#hub, settings: { 'bridge.redis.url': this.redis.url } })
  }

  /** The first two. */
  get pair(): readonly [HubServer, HubServer] {
    const [one, other] = this.hosts
    assert.ok(one !== undefined && other !== undefined)
    return [one, other]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.hosts.map((host) => host[Symbol.asyncDispose]()))
    await this.redis[Symbol.asyncDispose]()
  }
}
