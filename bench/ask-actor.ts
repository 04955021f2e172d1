// The actors of ask.bench.ts, loaded by every shard: one that answers, and one that asks from inside of a shard, as
// user code would, and returns the figures.
import { type ActorRef, defineActor } from '../src/index.ts'

export interface AskTask {
  /** Asks in flight at once. */
  readonly window: number
  /** A pause before each ask, longer than any polling, so that both threads sleep. */
  readonly paced: boolean
  readonly count: number
  readonly value: unknown
}

export interface AskFigures {
  readonly perSecond: number
  readonly p50Us: number
  readonly answers: number
}

/** Tells that are on their way at once: far fewer than a ring and its queue hold. */
const TELLS_AT_ONCE = 2_000

export const answerer = defineActor({
  kind: 'bench-answerer',
  create: () => ({ told: 0 }),
  on: {
    echo: (_state, value: unknown) => value,
    hear(state, _value: unknown) {
      state.told++
    },
    told: (state) => state.told,
  },
})
type Answerer = ActorRef<(typeof answerer)['on']>

export const asker = defineActor({
  kind: 'bench-asker',
  create: () => undefined,
  on: {
    ask: (_state, { id, ...task }: AskTask & { readonly id: string }, context) =>
      measureAsks(context.actor(answerer, id), task),
    tell: (
      _state,
      { id, count, value }: { readonly id: string; readonly count: number; readonly value: unknown },
      context,
    ) => measureTells(context.actor(answerer, id), count, value),
  },
})

export async function measureAsks(target: Answerer, { window, paced, count, value }: AskTask): Promise<AskFigures> {
  // With more in flight the clock would cost more than the ring: there the rate is the figure.
  const timed = window === 1
  const roundTripsUs = new Float64Array(timed ? count : 0)
  let asked = 0
  let answers = 0
  const chain = async (): Promise<void> => {
    while (asked < count) {
      const index = asked++
      if (paced) await new Promise((resolve) => setTimeout(resolve, 1))
      const askedMs = timed ? performance.now() : 0
      await target.ask('echo', value)
      if (timed) roundTripsUs[index] = (performance.now() - askedMs) * 1000
      answers++
    }
  }
  const startMs = performance.now()
  await Promise.all(Array.from({ length: window }, chain))
  const perSecond = count / ((performance.now() - startMs) / 1000)
  roundTripsUs.sort()
  return { perSecond, p50Us: roundTripsUs[count >> 1] ?? 0, answers }
}

/** Tells per second, as the receiver has handled them. */
export async function measureTells(target: Answerer, count: number, value: unknown): Promise<number> {
  const before = await target.ask('told')
  const startMs = performance.now()
  for (let told = 0; told < count; ) {
    for (const end = Math.min(count, told + TELLS_AT_ONCE); told < end; told++) {
      if (!target.tell('hear', value)) throw new Error('a tell was refused')
    }
    // Behind the tells, and so an answer to all of them.
    const heard = (await target.ask('told')) - before
    if (heard !== told) throw new Error(`${told} tells, ${heard} heard`)
  }
  return count / ((performance.now() - startMs) / 1000)
}
