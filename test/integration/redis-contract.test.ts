// The contract of the bridge over real Redis servers: one, a master that Sentinels watch, and a Cluster.
import { after, before, describe } from 'node:test'
import { REDIS_LIMITS } from '../../src/bridge/redis-options.ts'
import { redisFactory } from '../bridge/bridge-fixture.ts'
import { contractOf } from '../bridge/contract-subject.ts'
import { startCluster, startRedis, startSentinel } from '../harness/redis.ts'

type Setup = AsyncDisposable & { readonly url: string }

// They take seconds to find each other: all begin at once.
const SETUPS: Readonly<Record<string, Promise<Setup>>> = {
  'one server': startRedis(),
  Sentinel: startSentinel(),
  Cluster: startCluster(),
}

for (const [name, starting] of Object.entries(SETUPS)) {
  describe(`bridge over Redis, ${name}`, () => {
    let setup: Setup
    before(async () => {
      setup = await starting
    })
    after(() => setup?.[Symbol.asyncDispose]())
    describe('contract', () => contractOf((wheel) => redisFactory(setup.url, wheel, REDIS_LIMITS)))
  })
}
