// The timer wheel of a thread that does nothing around its timers: driven by Node's event loop. A loop with turns of its
// own (net/event-loop.ts) drives its wheel itself.
import type { Clock } from '../lib/clock.ts'
import { createNodeTimerHost } from './node-host.ts'
import { TimerWheel } from './wheel.ts'

/** Timers fired in one turn; the rest fire in the next. */
const TIMERS_PER_TURN = 1_000

/** What a callback throws ends the thread. */
export function createNodeWheel(clock: Clock): TimerWheel {
  const host = createNodeTimerHost(() => wheel.advance(clock.nowMs(), TIMERS_PER_TURN))
  const wheel: TimerWheel = new TimerWheel({
    clock,
    host,
    onError: (error) => {
      throw error
    },
  })
  return wheel
}
