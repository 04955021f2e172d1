// The timer wheel against Node's own timers: time to arm, cancel, re-arm and fire, and memory while pending.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { systemClock } from '../src/lib/clock.ts'
import type { TimerHost } from '../src/timer/host.ts'
import { type TimerHandle, TimerWheel } from '../src/timer/wheel.ts'
import { defineBench, interleave, median, ratioOf } from './harness.ts'

// Arming in one turn: as many as a busy loop turn may see.
const TURN_TIMERS = 1000

/** The bench is the event loop itself: it ends the turns. With Node's, each turn also costs one immediate. */
const host: TimerHost = { armed: false, arm(): void {}, soon(): void {}, disarm(): void {} }

// So that the bench needs no flag on its command line.
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

let fired = 0
function count(): void {
  fired++
}

function createWheel(): TimerWheel {
  const onError = (error: unknown): void => {
    throw error
  }
  return new TimerWheel({ clock: systemClock, host, onError })
}

function endTurn(wheel: TimerWheel): void {
  wheel.advance(systemClock.nowMs(), 1000)
}

function nanoseconds(count: number, run: () => void): number {
  const startMs = performance.now()
  run()
  return ((performance.now() - startMs) * 1e6) / count
}

function usedBytes(): number {
  for (let round = 0; round < 3; round++) collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Delays as a gateway has them: acks, handshakes, idle and session timeouts. */
function delayOf(index: number): number {
  return [250, 5000, 10_000, 60_000, 1_800_000][index % 5] as number
}

export const bench = defineBench({
  question: 'What does a timer of the wheel cost, against setTimeout?',
  async run({ smoke, log }) {
    const rounds = smoke ? 1 : 15
    const turns = smoke ? 2 : 200
    const pendingCount = smoke ? 2000 : 131_072
    const timers = TURN_TIMERS * turns
    const wheel = createWheel()
    // Neither side starts empty: a server has timers pending all the time.
    for (let index = 0; index < 1000; index++) wheel.schedule(delayOf(index), count)
    const others = Array.from({ length: 1000 }, (_, index) => setTimeout(count, delayOf(index)).unref())
    endTurn(wheel)

    const handles = new Array<TimerHandle>(TURN_TIMERS)
    const timeouts = new Array<NodeJS.Timeout>(TURN_TIMERS)
    const held = wheel.schedule(60_000, count)
    const heldTimeout = setTimeout(count, 60_000).unref()
    log('arm, cancel, re-arm')
    const samples = await interleave(rounds, {
      wheelAtOnce: () =>
        nanoseconds(timers, () => {
          for (let turn = 0; turn < turns; turn++) {
            for (let index = 0; index < TURN_TIMERS; index++) wheel.cancel(wheel.schedule(delayOf(index), count))
            endTurn(wheel)
          }
        }),
      // Node keeps one list for each delay. Whether another timer has the same delay makes the difference.
      nodeAlone: () =>
        nanoseconds(timers, () => {
          for (let turn = 0; turn < turns; turn++) {
            for (let index = 0; index < TURN_TIMERS; index++) clearTimeout(setTimeout(count, delayOf(index) + 1))
          }
        }),
      nodeShared: () =>
        nanoseconds(timers, () => {
          for (let turn = 0; turn < turns; turn++) {
            for (let index = 0; index < TURN_TIMERS; index++) clearTimeout(setTimeout(count, delayOf(index)))
          }
        }),
      wheelNextTurn: () =>
        nanoseconds(timers, () => {
          for (let turn = 0; turn < turns; turn++) {
            for (let index = 0; index < TURN_TIMERS; index++) handles[index] = wheel.schedule(delayOf(index), count)
            endTurn(wheel)
            for (const handle of handles) wheel.cancel(handle)
            endTurn(wheel)
          }
        }),
      nodeNextTurn: () =>
        nanoseconds(timers, () => {
          for (let turn = 0; turn < turns; turn++) {
            for (let index = 0; index < TURN_TIMERS; index++) timeouts[index] = setTimeout(count, delayOf(index))
            for (const timeout of timeouts) clearTimeout(timeout)
          }
        }),
      wheelRearm: () =>
        nanoseconds(timers, () => {
          for (let turn = 0; turn < turns; turn++) {
            for (let index = 0; index < TURN_TIMERS; index++) wheel.rearm(held, 60_000)
            endTurn(wheel)
          }
        }),
      nodeRefresh: () =>
        nanoseconds(timers, () => {
          for (let index = 0; index < timers; index++) heldTimeout.refresh()
        }),
    })
    for (const timeout of others) clearTimeout(timeout)
    clearTimeout(heldTimeout)

    log('memory')
    const wheelBytes = memoryOfWheel(pendingCount)
    const wheelBytesWorst = memoryOfWheel(worstAfter(pendingCount))
    const nodeBytes = memoryOfNode(pendingCount)

    log('expiry')
    const expiry = await interleave(smoke ? 1 : 5, {
      wheel: () => expireWheel(smoke ? 1000 : 100_000),
      node: () => expireNode(smoke ? 1000 : 100_000),
    })

    return {
      ratios: [
        {
          name: 'wheel / setTimeout: time to arm and cancel',
          value: ratioOf(samples.wheelAtOnce, samples.nodeAlone),
          atMost: 1 / 8,
        },
        {
          name: 'wheel / setTimeout: the same, when Node has other timers with that delay',
          value: ratioOf(samples.wheelAtOnce, samples.nodeShared),
          atMost: 1 / 2,
        },
        {
          name: 'wheel / setTimeout: time to arm 1000, end the turn, and cancel them',
          value: ratioOf(samples.wheelNextTurn, samples.nodeNextTurn),
          atMost: 1 / 2,
        },
        {
          name: 'wheel.rearm / timeout.refresh: time',
          value: ratioOf(samples.wheelRearm, samples.nodeRefresh),
          atMost: 1,
        },
        { name: 'wheel / setTimeout: CPU of mixed expiries', value: ratioOf(expiry.wheel, expiry.node), atMost: 1 },
        { name: 'wheel / setTimeout: memory of a pending timer', value: wheelBytes / nodeBytes, atMost: 1 / 3 },
      ],
      figures: [
        { name: 'wheel: arm and cancel', value: median(samples.wheelAtOnce), unit: 'ns' },
        { name: 'setTimeout, clearTimeout', value: median(samples.nodeAlone), unit: 'ns' },
        { name: 'setTimeout, clearTimeout, others with that delay', value: median(samples.nodeShared), unit: 'ns' },
        { name: 'wheel: arm 1000, end the turn, cancel 1000; each', value: median(samples.wheelNextTurn), unit: 'ns' },
        { name: 'setTimeout × 1000, clearTimeout × 1000; each', value: median(samples.nodeNextTurn), unit: 'ns' },
        { name: 'wheel: rearm', value: median(samples.wheelRearm), unit: 'ns' },
        { name: 'timeout.refresh', value: median(samples.nodeRefresh), unit: 'ns' },
        { name: `wheel: ${pendingCount} pending, each`, value: wheelBytes, unit: 'B (budget 48)' },
        { name: 'wheel: just after growing, each', value: wheelBytesWorst, unit: 'B (budget 48)' },
        { name: `setTimeout: ${pendingCount} pending, each`, value: nodeBytes, unit: 'B' },
        { name: 'wheel: an expiry', value: median(expiry.wheel), unit: 'ns' },
        { name: 'setTimeout: an expiry', value: median(expiry.node), unit: 'ns' },
      ],
      hash: fired,
    }
  },
})

/** The next count at which the wheel has just grown: it starts with room for 512 and grows by a quarter. */
function worstAfter(count: number): number {
  let capacity = 512
  while (capacity <= count) capacity += capacity >>> 2
  return capacity + 1
}

function memoryOfWheel(pending: number): number {
  const before = usedBytes()
  const wheel = createWheel()
  for (let index = 0; index < pending; index++) wheel.schedule(delayOf(index), count)
  endTurn(wheel)
  const bytes = (usedBytes() - before) / pending
  wheel.close()
  return bytes
}

function memoryOfNode(pending: number): number {
  const timeouts = new Array<NodeJS.Timeout | undefined>(pending).fill(undefined)
  const before = usedBytes()
  for (let index = 0; index < pending; index++) timeouts[index] = setTimeout(count, delayOf(index))
  const bytes = (usedBytes() - before) / pending
  for (const timeout of timeouts) clearTimeout(timeout)
  return bytes
}

/** Delays that are all over before the clock of the loop is looked at: firing is measured, not waiting. */
function expireWheel(timers: number): number {
  const wheel = createWheel()
  for (let index = 0; index < timers; index++) wheel.schedule(1 + (index % 200), count)
  endTurn(wheel)
  spin(210)
  return nanoseconds(timers, () => {
    while (wheel.stats.scheduled > 0) endTurn(wheel)
  })
}

async function expireNode(timers: number): Promise<number> {
  const before = fired
  for (let index = 0; index < timers; index++) setTimeout(count, 1 + (index % 200))
  spin(210)
  let startMs = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  const wait = (): void => {
    if (fired - before === timers) resolve()
    else setImmediate(wait)
  }
  setImmediate(wait)
  startMs = performance.now()
  await promise
  return ((performance.now() - startMs) * 1e6) / timers
}

function spin(ms: number): void {
  const endMs = performance.now() + ms
  while (performance.now() < endMs);
}
