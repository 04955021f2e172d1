// What an actor costs over the object that is its state: how fast actors come to life, how fast a message finds one that
// lives, and what an idle one keeps in memory. The peer is a Map of the same objects and a function call per message, in
// the same thread; it has no mailbox, no idle timer and no way to another shard, and the ratios are the price of these.
import { type CrowdFigures, crowd } from './actor-crowd.ts'
import { startRuntime } from './bench-runtime.ts'
import { defineBench, type Figure, interleave, median, ratioOf } from './harness.ts'

/** Longer than any round. */
const PATIENCE = '5m'

export const bench = defineBench({
  question: 'What does an actor cost, against an object in a Map?',
  async run({ smoke, log }) {
    const { rounds, actors } = smoke ? { rounds: 1, actors: 1_000 } : { rounds: 7, actors: 100_000 }
    await using stack = new AsyncDisposableStack()
    const runtime = stack.adopt(await startRuntime('./actor-crowd.ts', 1), async (one) => {
      await one.drain()
      await one.ended
    })
    const measurer = runtime.actor(crowd, 'all').within(PATIENCE)
    const figures: Record<'actors' | 'map', CrowdFigures[]> = { actors: [], map: [] }
    let fresh = 0
    let visits = 0
    const round = (key: 'actors' | 'map') => async (): Promise<number> => {
      log(key)
      // Other ids in each round, as new clients have them.
      const one = await measurer.ask(key, { prefix: `${fresh++}-`, count: actors })
      figures[key].push(one)
      visits += one.visits
      return 0
    }
    const candidates = { actors: round('actors'), map: round('map') }
    if (!smoke) {
      await interleave(1, candidates) // until the code is optimised
      figures.actors = []
      figures.map = []
    }
    await interleave(rounds, candidates)
    const samples = (key: 'actors' | 'map', of: (one: CrowdFigures) => number): number[] => figures[key].map(of)
    const ratio = (name: string, of: (one: CrowdFigures) => number): { name: string; value: number } => {
      return { name: `actor / object in a Map: ${name}`, value: ratioOf(samples('actors', of), samples('map', of)) }
    }
    const firstNs = ({ firstPerSecond }: CrowdFigures): number => 1e9 / firstPerSecond
    const nextNs = ({ nextPerSecond }: CrowdFigures): number => 1e9 / nextPerSecond
    const bytes = ({ bytesEach }: CrowdFigures): number => bytesEach
    const shown: Figure[] = []
    for (const [key, name] of [
      ['actors', 'actor'],
      ['map', 'object in a Map'],
    ] as const) {
      const per = (of: (one: CrowdFigures) => number): number => median(samples(key, of))
      shown.push({ name: `${name}, created by its first message`, value: 1e9 / per(firstNs), unit: 'per second' })
      shown.push({ name: `${name}, each next message`, value: 1e9 / per(nextNs), unit: 'messages/s' })
      shown.push({ name: `${name}, idle, of ${actors}`, value: per(bytes), unit: 'bytes each' })
    }
    return {
      ratios: [
        ratio('time until a new one has handled its first message', firstNs),
        ratio('time of each next message', nextNs),
        ratio('memory of an idle one', bytes),
      ],
      figures: shown,
      hash: visits,
    }
  },
})
