// The wheel on Node's own event loop and clock.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createNodeTimerHost } from '../../src/timer/node-host.ts'
import { TimerWheel } from '../../src/timer/wheel.ts'

function createWheel(budget: number): TimerWheel {
  const host = createNodeTimerHost(() => wheel.advance(systemClock.nowMs(), budget))
  const wheel: TimerWheel = new TimerWheel({ clock: systemClock, host, onError: (error) => assert.ifError(error) })
  return wheel
}

test('node host: timers fire in real time, none early, also those armed by callbacks', async () => {
  const wheel = createWheel(16)
  const keepAlive = setInterval(() => {}, 1000)
  const waits: Promise<void>[] = []
  const wait = (delayMs: number, repeat: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const armedMs = systemClock.nowMs()
      wheel.schedule(delayMs, () => {
        const lateMs = systemClock.nowMs() - armedMs - delayMs
        if (lateMs < 0) reject(new Error(`${delayMs} ms: ${-lateMs} early`))
        else if (repeat > 0) wait(delayMs, repeat - 1).then(resolve, reject)
        else resolve()
      })
    })
  for (let index = 0; index < 200; index++) waits.push(wait(index % 40, index % 3))
  await Promise.all(waits)
  clearInterval(keepAlive)
  assert.equal(wheel.stats.scheduled, 0)
  assert.equal(wheel.stats.fired, 200 + 67 + 2 * 66)
  wheel.close()
})

test('node host: a sooner timer takes over the wake-up of a later one', async () => {
  const wheel = createWheel(16)
  const keepAlive = setInterval(() => {}, 1000)
  const order: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  wheel.schedule(60_000, assert.fail)
  wheel.schedule(60, () => {
    order.push('later')
    resolve()
  })
  // After the first turn, when the host is armed for the 60 ms.
  setImmediate(() => setImmediate(() => wheel.schedule(5, () => order.push('sooner'))))
  await promise
  clearInterval(keepAlive)
  assert.deepEqual(order, ['sooner', 'later'])
  wheel.close()
})

test('node host: disarm forgets the timeout and the immediate', async () => {
  let ticks = 0
  const host = createNodeTimerHost(() => ticks++)
  host.arm(1)
  host.soon()
  host.soon()
  host.disarm()
  assert.equal(host.armed, false)
  const { promise, resolve } = Promise.withResolvers<void>()
  const other = createNodeTimerHost(resolve)
  other.soon()
  await promise
  assert.equal(ticks, 0)
})
