// The contract of the bridge, for each engine: called directly, and through client and host.
import { after, before, describe } from 'node:test'
import type { EngineFactory } from '../../src/bridge/bridge-engine.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createNodeWheel } from '../../src/timer/node-wheel.ts'
import type { TimerWheel } from '../../src/timer/wheel.ts'
import { startCluster, startRedis, startSentinel } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'
import { DirectBridge, localFactory, redisFactory } from './bridge-fixture.ts'
import { BridgeLoop } from './bridge-loop.ts'
import { bridgeContract } from './contract.ts'

type Factory = (wheel: TimerWheel) => EngineFactory
type Setup = AsyncDisposable & { readonly url: string }

// They take seconds to find each other: all begin at once.
const SETUPS: Readonly<Record<string, Promise<Setup>>> = {
  'one server': startRedis(),
  Sentinel: startSentinel(),
  Cluster: startCluster(),
}

function both(factory: () => Factory): void {
  const stack = new AsyncDisposableStack()
  let direct: DirectBridge
  let loop: BridgeLoop
  before(async () => {
    direct = stack.use(await new DirectBridge((wheel) => factory()(wheel)).up())
    const wheel = createNodeWheel(systemClock)
    stack.defer(() => wheel.close())
    loop = stack.use(new BridgeLoop(factory()(wheel), { wheel }))
    await waitUntil('the bridge is up', () => loop.host.figures.isUp)
  })
  bridgeContract('engine', () => direct.bridge)
  bridgeContract('client and host', () => loop.client().bridge)
  after(() => stack.disposeAsync())
}

describe('local bridge', () => both(() => localFactory))

for (const [name, starting] of Object.entries(SETUPS)) {
  describe(`bridge over Redis, ${name}`, () => {
    let setup: Setup
    before(async () => {
      setup = await starting
    })
    after(() => setup?.[Symbol.asyncDispose]())
    describe('contract', () => both(() => (wheel) => redisFactory(setup.url, wheel)))
  })
}
