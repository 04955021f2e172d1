// Listeners that move between threads at any moment, while messages flow and rings fill up: each hears every message
// once and in order, or a gap where one is missing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ChannelPosition, ChannelSubscription } from '../../src/bridge/bridge.ts'
import type { BridgeEvents, EngineFactory } from '../../src/bridge/bridge-engine.ts'
import { LocalEngine } from '../../src/bridge/local-engine.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { bytes, Ear, GAP } from './bridge-fixture.ts'
import { BridgeLoop, THREAD } from './bridge-loop.ts'

const THREADS = 3
const LISTENERS = 3
const RUNS = 1_000

type Step =
  | { readonly do: 'say' }
  | { readonly do: 'pass' }
  | { readonly do: 'settle' }
  | { readonly do: 'crash' }
  | { readonly do: 'move'; readonly listener: number; readonly to: number; readonly pauseMs: number }
  | { readonly do: 'squeeze'; readonly thread: number; readonly room: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ do: 'say' } as const) },
  { weight: 3, arbitrary: fc.constantFrom({ do: 'pass' } as const, { do: 'settle' } as const) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      listener: fc.nat(LISTENERS - 1),
      to: fc.nat(THREADS - 1),
      pauseMs: fc.constantFrom(0, 0, 0, 500, 2_500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('squeeze' as const), thread: fc.nat(THREADS - 1), room: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'crash' } as const) },
)

/** One that hears on, wherever it is. */
class Wanderer {
  readonly ear = new Ear()
  subscription: ChannelSubscription
  readonly #loop: BridgeLoop

  constructor(loop: BridgeLoop, thread: number) {
    this.#loop = loop
    this.subscription = this.#join(thread, undefined)
  }

  async move(to: number, pauseMs: number, timers: ManualTimers): Promise<void> {
    const since = this.subscription.position
    this.subscription.end(true)
    if (pauseMs > 0) {
      await this.#loop.settle()
      timers.run(pauseMs)
    }
    this.subscription = this.#join(to, since)
  }

  /** A refused or lost one comes again, as a service would, and tells a gap itself when it has no position. */
  #join(thread: number, since: ChannelPosition | undefined): ChannelSubscription {
    if (since === undefined) this.ear.gap()
    const subscription = this.#loop.client(THREAD + thread).bridge.subscribe('c', this.ear, since)
    subscription.confirmed.catch(() => {
      if (this.subscription !== subscription) return
      this.ear.gap()
      this.subscription = this.#join(thread, undefined)
    })
    return subscription
  }
}

async function play(steps: readonly Step[]): Promise<void> {
  const timers = new ManualTimers()
  const { clock, wheel } = timers
  let events: BridgeEvents | undefined
  const engine: EngineFactory = (given) => {
    events = given
    return new LocalEngine({ clock, wheel, memoryBytesMax: 1_000, readBytesMax: 1_000 }, given)
  }
  const loop = new BridgeLoop(engine, { clock, wheel, threads: THREADS })
  loop.byHand = true
  const wanderers = Array.from({ length: LISTENERS }, (_, index) => new Wanderer(loop, index % THREADS))
  let said = 0
  const settled = async (): Promise<void> => {
    for (let thread = 0; thread < THREADS; thread++) loop.way(THREAD + thread).toClientMax = Number.POSITIVE_INFINITY
    for (let round = 0; round < 3; round++) {
      await loop.settle()
      timers.run(5_300)
    }
    await loop.settle()
  }
  await settled()
  for (const one of steps) {
    if (one.do === 'say') events?.onMessage('c', bytes(String(++said)))
    else if (one.do === 'pass') loop.pass()
    else if (one.do === 'settle') await loop.settle()
    else if (one.do === 'crash') await loop.restartHost()
    else if (one.do === 'squeeze') loop.way(THREAD + one.thread).toClientMax = one.room
    else await wanderers[one.listener]?.move(one.to, one.pauseMs, timers)
  }
  await settled()
  events?.onMessage('c', bytes(String(++said)))
  await loop.settle()
  for (const [index, { ear }] of wanderers.entries()) {
    let last = 0
    for (const [at, text] of ear.heard.entries()) {
      if (text === GAP) continue
      const number = Number(text)
      assert.ok(number > last, `listener ${index}: ${number} after ${last}`)
      const isTold = ear.heard.slice(0, at).lastIndexOf(GAP) > ear.heard.lastIndexOf(String(last))
      assert.ok(number === last + 1 || isTold, `listener ${index}: ${number} after ${last} without a gap`)
      last = number
    }
    assert.equal(last, said, `listener ${index} is not deaf`)
  }
  assert.equal(loop.host.figures.subscriptions, 1)
  assert.deepEqual(loop.errors, [])
}

test('channel: moving listeners miss nothing without a gap (fuzz)', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), play), { numRuns: RUNS })
})
