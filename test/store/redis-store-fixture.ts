// A store on a real Redis server, through client and host of a bridge in this thread.

import { RedisEngine } from '../../src/bridge/redis-engine.ts'
import { type DiskOptions, REDIS_LIMITS } from '../../src/bridge/redis-options.ts'
import { ManualClock, systemClock } from '../../src/lib/clock.ts'
import { parseRedisAddress } from '../../src/lib/redis-address.ts'
import type { Logger } from '../../src/observe/logger.ts'
import { RedisStore, type RedisStoreOptions } from '../../src/store/redis-store.ts'
import type { Store } from '../../src/store/store.ts'
import { createNodeWheel } from '../../src/timer/node-wheel.ts'
import { BridgeLoop, SILENT } from '../bridge/bridge-loop.ts'
import { type RedisOptions, type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'
import type { Subject } from './contract.ts'

export interface RedisStoreSetup {
  readonly server?: RedisOptions
  /** Answers wait until they are on disk. */
  readonly disk?: DiskOptions
  readonly store?: Partial<RedisStoreOptions>
  readonly log?: Logger
  /** `name:password` of an ACL user. */
  readonly user?: string
}

export class RedisStoreSubject implements AsyncDisposable {
  readonly server: RedisServer
  readonly loop: BridgeLoop
  readonly wheel = createNodeWheel(systemClock)
  readonly #setup: RedisStoreSetup

  constructor(server: RedisServer, setup: RedisStoreSetup) {
    this.server = server
    this.#setup = setup
    const address = parseRedisAddress(
      setup.user === undefined ? server.url : server.url.replace('//', `//${setup.user}@`),
    )
    if (typeof address === 'string') throw new TypeError(address)
    const common = { clock: systemClock, wheel: this.wheel, log: setup.log ?? SILENT, random: Math.random }
    const limits = { ...REDIS_LIMITS, backoffMinMs: 10, backoffMaxMs: 50 }
    this.loop = new BridgeLoop(
      (events) => new RedisEngine({ ...common, address, limits, disk: setup.disk, keepsStore: true }, events),
      { wheel: this.wheel },
    )
  }

  get isUp(): boolean {
    return this.loop.host.figures.isUp
  }

  up(): Promise<unknown> {
    return waitUntil('the bridge is up', () => this.isUp)
  }

  store(options: Partial<RedisStoreOptions> = {}): RedisStore {
    return new RedisStore({
      script: (call) => this.loop.client().bridge.script(call),
      onDisk: this.#setup.disk !== undefined,
      clock: systemClock,
      wheel: this.wheel,
      timeoutMs: 5_000,
      callsMax: 10_000,
      ...this.#setup.store,
      ...options,
    })
  }

  /** The server forgets everything. */
  fresh(): Subject {
    this.server.command('FLUSHALL')
    const clock = new ManualClock()
    // Its time limits are real: only the time of messages is the test's.
    const store: Store = this.store({ clock })
    return { store, clock, [Symbol.asyncDispose]: () => Promise.resolve() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.loop[Symbol.asyncDispose]()
    this.wheel.close()
    await this.server[Symbol.asyncDispose]()
  }
}

/** `prepare` sees the server before anybody connects. */
export async function startRedisStore(
  setup: RedisStoreSetup = {},
  prepare: (server: RedisServer) => void = () => {},
): Promise<RedisStoreSubject> {
  const server = await startRedis(setup.server)
  prepare(server)
  const subject = new RedisStoreSubject(server, setup)
  await subject.up()
  return subject
}
