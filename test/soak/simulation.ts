// The actor core under seeded chance: threads that die, slots that move, rings that are full. `test/simulation` says how.
import assert from 'node:assert/strict'
import { STEPS, simulate } from '../simulation/simulation.ts'
import { defineScenario } from './scenario.ts'

const SEEDS = 200
const QUICK_SEEDS = 10
/** Seeds between two lines of progress. */
const SEEDS_A_LINE = 20

export const simulation = defineScenario({
  claim:
    'Whatever threads, moves and rings do: an actor is active once, a message handled once and in turn, and every ask ends.',
  limitMs: 30 * 60_000,
  async run({ quick, log }) {
    const seeds = quick ? QUICK_SEEDS : SEEDS
    const totals = new Map<string, number>()
    for (let seed = 1; seed <= seeds; seed++) {
      const { problems, events, figures, steps } = await simulate(seed, STEPS)
      if (problems.length > 0) {
        const replay = `node test/simulation/run.ts --seed ${seed}`
        assert.fail([`seed ${seed} failed in step ${steps}; ${replay}`, ...events, ...problems].join('\n'))
      }
      for (const [name, figure] of Object.entries(figures)) totals.set(name, (totals.get(name) ?? 0) + figure)
      if (seed % SEEDS_A_LINE === 0) log(`seeds ${seed - SEEDS_A_LINE + 1} to ${seed} hold`)
    }
    const count = (name: string): string => (totals.get(name) ?? 0).toLocaleString('en')
    return [
      { name: 'seeds that hold', value: `1 to ${seeds}, ${STEPS.toLocaleString('en')} steps each` },
      { name: 'messages sent, handled, dead letters', value: ['sent', 'handled', 'deadLetters'].map(count).join(', ') },
      { name: 'asks answered, ended with an error', value: ['answered', 'failedAsks'].map(count).join(', ') },
      {
        name: 'threads killed, moves begun, actors that moved',
        value: ['kills', 'moves', 'moved'].map(count).join(', '),
      },
    ]
  },
})
