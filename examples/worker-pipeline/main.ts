// From the project's root: `node examples/worker-pipeline/main.ts 2000000`
import { createRuntime } from '../../src/index.ts' // you write: 'polyloop'
import { planner } from './pipeline.ts'

const limit = Number(process.argv[2] ?? 1_000_000)

await using runtime = await createRuntime({
  shards: 2,
  modules: [new URL('./pipeline.ts', import.meta.url)],
  only: [],
  settings: { 'log.level': 'warn' },
})
const { found, ranges } = await runtime.actor(planner, 'primes').within('1m').ask('count', limit)
console.log(`${found} primes below ${limit}, searched in ${ranges} parts`)
