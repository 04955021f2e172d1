// Random histories of topics: homes and connections move, threads die, links fill up, clients are slow and come back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Step, THREADS, TOPICS, Trial } from './topic-trial.ts'

const thread = fc.nat(THREADS - 1)
const topic = fc.nat(TOPICS.length - 1)
const pick = fc.nat(1000)
const record = <T>(kind: T, rest: object): fc.Arbitrary<Step> =>
  fc.record({ kind: fc.constant(kind), ...rest }) as unknown as fc.Arbitrary<Step>
const calm: fc.MaybeWeightedArbitrary<Step>[] = [
  { weight: 6, arbitrary: record('publish', { thread, topic, count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 4, arbitrary: record('connect', { thread, topic }) },
  { weight: 2, arbitrary: record('move-topic', { thread, topic }) },
  { weight: 1, arbitrary: record('close', { pick, thread }) },
  { weight: 3, arbitrary: record('move', { pick, thread }) },
  { weight: 4, arbitrary: record('arrive', { pick }) },
  { weight: 12, arbitrary: record('deliver', { pick }) },
  { weight: 4, arbitrary: record('shift', { pick }) },
  { weight: 3, arbitrary: record('port', { pick }) },
  { weight: 3, arbitrary: record('pass', { ms: fc.integer({ min: 1, max: 60 }) }) },
]
const wild: fc.MaybeWeightedArbitrary<Step>[] = [
  ...calm,
  { weight: 2, arbitrary: record('return', { pick, thread }) },
  { weight: 2, arbitrary: record('stick', { pick, thread }) },
  { weight: 2, arbitrary: record('drain', { pick, thread }) },
  { weight: 1, arbitrary: record('pass', { ms: fc.integer({ min: 500, max: 20_000 }) }) },
  { weight: 1, arbitrary: record('kill', { thread }) },
]

const RUNS = Number(process.env.TOPIC_FUZZ_RUNS ?? 40)
const SEED = process.env.TOPIC_FUZZ_SEED === undefined ? {} : { seed: Number(process.env.TOPIC_FUZZ_SEED) }

test('topic fuzz: whatever fails, each subscriber gets every message once and in order, or is told of the gap', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(...wild), { minLength: 20, maxLength: 250, size: 'max' }),
      fc.constantFrom(3, 40, 100_000),
      fc.boolean(),
      fc.nat(),
      (steps, linkMax, refuses, seed) => {
        const trial = new Trial(linkMax, refuses, seed)
        for (const step of steps) trial.perform(step)
        trial.finish()
      },
    ),
    { numRuns: RUNS, ...SEED },
  )
})

test('topic fuzz: while topics and connections only move, nobody misses anything', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(...calm), { minLength: 20, maxLength: 250, size: 'max' }),
      fc.nat(),
      (steps, seed) => {
        const trial = new Trial(100_000, false, seed)
        for (const step of steps) trial.perform(step)
        const clients = trial.open.map(({ connection }) => connection.client)
        trial.finish()
        for (const client of clients) assert.equal(client.gaps, 0)
      },
    ),
    { numRuns: RUNS, ...SEED },
  )
})
