// The contract for one engine: called directly, and through client and host.
import { after, before } from 'node:test'
import type { EngineFactory } from '../../src/bridge/bridge-engine.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createNodeWheel } from '../../src/timer/node-wheel.ts'
import type { TimerWheel } from '../../src/timer/wheel.ts'
import { waitUntil } from '../harness/wait.ts'
import { DirectBridge } from './bridge-fixture.ts'
import { BridgeLoop } from './bridge-loop.ts'
import { bridgeContract } from './contract.ts'

/** To be called in a suite of its own; the factory is first called in its `before`. */
export function contractOf(factory: (wheel: TimerWheel) => EngineFactory): void {
  const stack = new AsyncDisposableStack()
  let direct: DirectBridge
  let loop: BridgeLoop
  before(async () => {
    direct = stack.use(await new DirectBridge((wheel) => factory(wheel)).up())
    const wheel = createNodeWheel(systemClock)
    stack.defer(() => wheel.close())
    loop = stack.use(new BridgeLoop(factory(wheel), { wheel }))
    await waitUntil('the bridge is up', () => loop.host.figures.isUp)
  })
  bridgeContract('engine', () => direct.bridge)
  bridgeContract('client and host', () => loop.client().bridge)
  after(() => stack.disposeAsync())
}
