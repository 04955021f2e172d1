// The contract of the store, for each implementation: called directly, and through records.
import { ManualClock } from '../../src/lib/clock.ts'
import { storeContract } from './contract.ts'
import { directStore, Folder, type Kind, Loop, openEngine } from './store-fixture.ts'

for (const kind of ['memory', 'sqlite'] satisfies Kind[]) {
  storeContract(kind, () => {
    const folder = new Folder()
    const clock = new ManualClock()
    const engine = openEngine(kind, folder.file(), clock)
    return {
      store: directStore(engine),
      clock,
      [Symbol.asyncDispose]: async () => {
        await engine.close()
        folder[Symbol.dispose]()
      },
    }
  })

  storeContract(`${kind} through client and host`, () => {
    const folder = new Folder()
    const clock = new ManualClock()
    const loop = new Loop(openEngine(kind, folder.file(), clock))
    return {
      store: loop.client.store,
      clock,
      [Symbol.asyncDispose]: async () => {
        await loop.host.close()
        folder[Symbol.dispose]()
      },
    }
  })
}
