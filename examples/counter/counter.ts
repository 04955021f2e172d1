// An actor: state behind an address such as `counter/apples`. Every shard imports this module; each address is active on one
// shard at a time and handles one message at a time, so there are no locks.
import { defineActor, Refusal } from '../../src/index.ts' // you write: 'polyloop'

export const counter = defineActor({
  kind: 'counter',
  /** The state of a counter that nobody has used yet. */
  create: () => ({ count: 0 }),
  // The second parameter is what `tell` and `ask` take, the result what `ask` answers: both are typed from here.
  on: {
    add(state, amount: number) {
      if (!Number.isInteger(amount)) throw new Refusal('whole numbers only', { amount }) // a no, not a failure
      state.count += amount
      return state.count
    },
    read: (state) => state.count,
  },
})
