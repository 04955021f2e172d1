// Runs simulations by seed: `node test/simulation/run.ts --seed 7` replays one, `--seeds 200` runs the first two hundred,
// `--seed 7 --seeds 10` ten from there. A failed one says what did not hold and what happened last.
import { parseArgs } from 'node:util'
import { EVENTS_KEPT, type SimulationResult, STEPS, simulate } from './simulation.ts'

const PROBLEMS_SHOWN = 8

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    events: { type: 'string', default: `${EVENTS_KEPT}` },
    steps: { type: 'string', default: `${STEPS}` },
  },
})
const [first, seeds, steps] = [Number(values.seed), Number(values.seeds), Number(values.steps)]
let failed = 0
for (let seed = first; seed < first + seeds; seed++) {
  const startMs = performance.now()
  const result = await simulate(seed, steps, Number(values.events))
  const seconds = (performance.now() - startMs) / 1000
  if (result.problems.length > 0) failed++
  console.log(result.problems.length > 0 ? failureOf(result) : `seed ${seed} holds (${seconds.toFixed(2)} s)`)
  if (seeds === 1) console.log(JSON.stringify({ ...result.figures, ...Object.fromEntries(result.codes) }, undefined, 1))
  if (seeds === 1) console.log(JSON.stringify(Object.fromEntries(result.reasons)))
}
if (failed > 0) {
  console.log(`${failed} of ${seeds} seeds failed`)
  process.exitCode = 1
}

function failureOf({ seed, steps, problems, events }: SimulationResult): string {
  return [
    `seed ${seed} FAILED in step ${steps}`,
    ...events.map((event) => `    ${event}`),
    ...problems.slice(0, PROBLEMS_SHOWN),
  ].join('\n')
}
