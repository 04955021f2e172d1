// How many primes are there? Three kinds of actors hand the work down:
//
//   planner ──ask──▶ searcher ×4 ──ask──▶ tally
//   cuts it up        │ offload             adds up
//                     ▼
//                    pool of threads: the computing
//
// An ask ends when the work is done, and a searcher handles one message at a time. So nobody gets more than he can do:
// that is all the backpressure there is.
import { defineActor } from '../../src/index.ts' // you write: 'polyloop'
import type { Range } from './prime.ts'

const SEARCHERS = 4
const STEP = 25_000

export const planner = defineActor({
  kind: 'planner',
  create: () => ({}),
  on: {
    async count(_state, limit: number, context) {
      let next = 0
      const feed = async (searcher: number): Promise<void> => {
        while (next < limit) {
          const from = next
          next = Math.min(limit, from + STEP)
          // The deadline of the message at hand holds for this ask too: who gave up is worked for no longer.
          await context.actor(searchers, `${context.id}-${searcher}`).within('1m').ask('search', { from, to: next })
        }
      }
      await Promise.all(Array.from({ length: SEARCHERS }, (_, searcher) => feed(searcher)))
      return context.actor(tally, context.id).ask('total')
    },
  },
})

export const searchers = defineActor({
  kind: 'searcher',
  create: (id) => ({ job: id.slice(0, id.lastIndexOf('-')) }),
  idleAfter: '30s',
  on: {
    async search(state, range: Range, context) {
      // Two seconds of computing here would be two seconds in which this shard serves nobody.
      const found = (await context.offload(new URL('./prime.ts', import.meta.url), 'countPrimes', range)) as number
      await context.actor(tally, state.job).ask('add', { range, found })
    },
  },
})

export const tally = defineActor({
  kind: 'tally',
  create: () => ({ found: 0, ranges: 0 }),
  on: {
    add(state, { found }: { range: Range; found: number }) {
      state.found += found
      state.ranges++
    },
    total: ({ found, ranges }) => ({ found, ranges }),
  },
})
