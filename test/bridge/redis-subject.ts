// A bridge over a real Redis server, through client and host, for tests that hurt the server.
import assert from 'node:assert/strict'
import type { Bridge } from '../../src/bridge/bridge.ts'
import type { BridgeFigures } from '../../src/bridge/bridge-host.ts'
import type { RedisLimits } from '../../src/bridge/redis-options.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createNodeWheel } from '../../src/timer/node-wheel.ts'
import { waitUntil } from '../harness/wait.ts'
import { QUICK, redisFactory } from './bridge-fixture.ts'
import { BridgeLoop } from './bridge-loop.ts'

/** A bridge over this server, or over something in front of it. */
export async function bridgeTo(url: string, limits: Partial<RedisLimits> = {}, isUp = true): Promise<Subject> {
  const wheel = createNodeWheel(systemClock)
  const loop = new BridgeLoop(redisFactory(url, wheel, { ...QUICK, ...limits }), { wheel })
  const subject = new Subject(loop, () => wheel.close())
  if (isUp) await subject.up()
  return subject
}

export class Subject implements AsyncDisposable {
  readonly loop: BridgeLoop
  readonly #end: () => void

  constructor(loop: BridgeLoop, end: () => void) {
    this.loop = loop
    this.#end = end
  }

  get bridge(): Bridge {
    return this.loop.client().bridge
  }

  get figures(): BridgeFigures {
    return this.loop.host.figures
  }

  async up(deadlineMs?: number): Promise<void> {
    await waitUntil('the bridge is up', () => this.figures.isUp, deadlineMs)
  }

  async down(): Promise<void> {
    await waitUntil('the bridge is down', () => !this.figures.isUp)
  }

  /** Nothing is left of what was open. */
  assertIdle(): void {
    assert.deepEqual([this.figures.outboxCalls, this.figures.outboxBytes], [0, 0])
    assert.equal(this.loop.client().waiting, 0)
    assert.deepEqual(this.loop.errors, [])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.loop[Symbol.asyncDispose]()
    this.#end()
  }
}
