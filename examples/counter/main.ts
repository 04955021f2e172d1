// From the project's root: `node examples/counter/main.ts`
import { createRuntime, type PolyloopError } from '../../src/index.ts' // you write: 'polyloop'
import { counter } from './counter.ts'

await using runtime = await createRuntime({
  shards: 2,
  modules: [new URL('./counter.ts', import.meta.url)],
  only: [], // no services: nothing listens but the admin endpoint
  settings: { 'log.level': 'warn' },
})

// A reference is an address and its types; nothing happens until something is sent.
const apples = runtime.actor(counter, 'apples')

apples.tell('add', 2) // waits for nothing
console.log('ask: apples are', await apples.ask('add', 3)) // in order: 2 + 3

// Each name is another counter, on whatever shard its hash says.
const fruits = ['pears', 'plums', 'figs', 'dates']
await Promise.all(fruits.map((name, index) => runtime.actor(counter, name).ask('add', index)))

// Errors are values with a code, wherever they come from.
await apples
  .ask('add', 0.5)
  .catch((error: PolyloopError) => console.log(`refused: ${error.code}, ${error.details.reason}`))

// New threads with freshly loaded code take over. Counters move; asks that come meanwhile wait a moment.
console.log('reload:', (await runtime.reload()).outcome)
let asks = 0
while (asks === 0 || runtime.report().migration.state === 'moving') {
  await apples.ask('add', 1)
  asks++
}
console.log('after it: apples are', (await apples.ask('read')) - asks, 'and as many as were added meanwhile')
console.log('dates are', await runtime.actor(counter, 'dates').ask('read'))
