// The actors of actor.bench.ts, loaded by its one shard: thousands of small ones, and one that wakes them from inside
// of the shard, does the same with a plain Map, and measures what both keep.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { defineActor } from '../src/index.ts'

interface Member {
  readonly name: string
  visits: number
  lastMs: number
}

export interface CrowdFigures {
  readonly firstPerSecond: number
  /** With everybody awake. */
  readonly nextPerSecond: number
  readonly bytesEach: number
  readonly visits: number
}

function createMember(id: string): Member {
  return { name: `member ${id}`, visits: 0, lastMs: 0 }
}

function visit(member: Member, atMs: number): void {
  member.visits++
  member.lastMs = atMs
}

/** Ids that nobody had before: `<prefix>0` to `<prefix><count - 1>`. */
export interface CrowdTask {
  readonly prefix: string
  readonly count: number
}

let visits = 0

export const member = defineActor({
  kind: 'bench-member',
  create: createMember,
  // Longer than the bench: a timer is armed, and none fires.
  idleAfter: '1h',
  on: {
    visit(state, atMs: number) {
      visit(state, atMs)
      visits++
    },
    leave(_state, _none: undefined, context) {
      visits++
      context.stop()
    },
  },
})

export const crowd = defineActor({
  kind: 'bench-crowd',
  create: () => undefined,
  on: {
    async actors(_state, { prefix, count }: CrowdTask, context): Promise<CrowdFigures> {
      const send = (method: 'visit' | 'leave') => async (): Promise<void> => {
        visits = 0
        for (let index = 0; index < count; index++) {
          const target = context.actor(member, `${prefix}${index}`)
          const taken = method === 'visit' ? target.tell(method, index) : target.tell(method)
          if (!taken) throw new Error('a tell was refused')
        }
        while (visits < count) await new Promise(setImmediate)
      }
      const figures = await measure(count, send('visit'))
      await send('leave')()
      return { ...figures, visits }
    },

    /** What any program without actors has. */
    async map(_state, { prefix, count }: CrowdTask): Promise<CrowdFigures> {
      const members = new Map<string, Member>()
      let sum = 0
      const figures = await measure(count, async () => {
        for (let index = 0; index < count; index++) {
          const id = `${prefix}${index}`
          const key = `bench-member/${id}`
          let found = members.get(key)
          if (found === undefined) {
            found = createMember(id)
            members.set(key, found)
          }
          visit(found, index)
        }
        await new Promise(setImmediate)
      })
      for (const { visits } of members.values()) sum += visits
      return { ...figures, visits: sum }
    },
  },
})

/** The first round creates everybody, the next finds them. */
async function measure(count: number, round: () => Promise<void>): Promise<Omit<CrowdFigures, 'visits'>> {
  const beforeBytes = await liveBytes()
  const rates: number[] = []
  for (let index = 0; index < 2; index++) {
    const startMs = performance.now()
    await round()
    rates.push(count / ((performance.now() - startMs) / 1000))
  }
  const bytesEach = ((await liveBytes()) - beforeBytes) / count
  const [firstPerSecond = 0, nextPerSecond = 0] = rates
  return { firstPerSecond, nextPerSecond, bytesEach }
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** On this thread's heap and outside of it, behind a collection. */
async function liveBytes(): Promise<number> {
  // Twice, with a turn in between: what only finalisers hold is gone then.
  for (let index = 0; index < 2; index++) {
    collect()
    await new Promise(setImmediate)
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
