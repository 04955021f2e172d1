import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type SimulationResult, STEPS, simulate } from '../simulation/simulation.ts'

const SEEDS = 20

/** What the run must have come across, or it has proved nothing. */
const SEEN = ['kills', 'moves', 'moved', 'forwarded', 'fired', 'heldMax', 'refused', 'deadLetters'] as const

test(`simulation: ${SEEDS} seeds of ${STEPS} steps hold`, async () => {
  const results: SimulationResult[] = []
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await simulate(seed, STEPS)
    const { problems, events, steps } = result
    const replay = `node test/simulation/run.ts --seed ${seed}`
    assert.deepEqual(problems, [], [`seed ${seed}, step ${steps}; ${replay}`, ...events, ...problems].join('\n'))
    results.push(result)
  }
  for (const figure of SEEN)
    assert.ok(
      results.some(({ figures }) => figures[figure] > 0),
      figure,
    )
  const codes = new Set(results.flatMap((result) => [...result.codes.keys()]))
  const expected = [
    'ACTOR_CYCLE',
    'ACTOR_FAILED',
    'ACTOR_HANDLER_FAILED',
    'ACTOR_UNREACHABLE',
    'ASKS_TOO_MANY',
    'ASK_TIMEOUT',
  ]
  for (const code of [...expected, 'HEAP_FULL', 'MAILBOX_FULL', 'RING_FULL']) assert.ok(codes.has(code), code)
  const reasons = new Set(results.flatMap((result) => [...result.reasons.keys()]))
  for (const reason of ['left_over', 'move_failed', 'expired', 'method_unknown']) assert.ok(reasons.has(reason), reason)
})

test('simulation: a seed replays exactly', async () => {
  const [first, second] = [await simulate(4, 2_000), await simulate(4, 2_000)]
  assert.deepEqual(first, second)
  assert.notDeepEqual((await simulate(5, 2_000)).figures, first.figures)
})
