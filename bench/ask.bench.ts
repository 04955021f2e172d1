// What an ask costs: from an actor on one shard to an actor on another, in the real runtime, against a bare MessagePort
// between two workers that posts the same value back and forth. The port knows no address, no deadline and no error.
import { once } from 'node:events'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { Runtime } from '../src/index.ts'
import { type AskFigures, answerer, asker, measureAsks } from './ask-actor.ts'
import { idOn, startRuntime } from './bench-runtime.ts'
import { defineBench, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { type Done, MESSAGE_BYTES, type Task } from './round-trip-worker.ts'

const SHARDS = 2
const NEAR = 0
const FAR = 1
/** Longer than any round. */
const PATIENCE = '5m'
const IN_FLIGHT = 256

/** The same for both sides: bytes as in ring-round-trip.bench.ts, and an object as actors get it. */
const VALUES = {
  [`${MESSAGE_BYTES} bytes`]: Buffer.alloc(MESSAGE_BYTES, 7),
  'a small object': { name: 'ada', amount: 5 },
}
const BYTES = VALUES[`${MESSAGE_BYTES} bytes`]

interface Sizes {
  readonly rounds: number
  readonly idle: number
  readonly saturated: number
  readonly tells: number
}

const FULL: Sizes = { rounds: 9, idle: 250, saturated: 150_000, tells: 300_000 }
const SMOKE: Sizes = { rounds: 1, idle: 10, saturated: 2_000, tells: 2_000 }
/** Ports are slower: as many round trips would take minutes. */
const PORT_SHARE = 0.3

export const bench = defineBench({
  question: 'How long does an ask to an actor on another shard take, and how many are there in a second?',
  async run({ smoke, log }) {
    const sizes = smoke ? SMOKE : FULL
    const { rounds } = sizes
    await using stack = new AsyncDisposableStack()
    const subject = new Asks(stack.adopt(await startRuntime('./ask-actor.ts', SHARDS), stop))
    const port = stack.use(new PortPair())
    const ratios: Ratio[] = []
    let answers = 0
    const counted = async (figures: Promise<{ readonly answers: number }>): Promise<void> => {
      answers += (await figures).answers
    }
    const idle = { window: 1, paced: true, count: sizes.idle, value: BYTES }
    const saturated = { window: IN_FLIGHT, paced: false, count: sizes.saturated }
    const ports = { ...saturated, count: Math.ceil(sizes.saturated * PORT_SHARE) }

    log('until the code is optimised')
    for (const value of Object.values(VALUES)) {
      await counted(subject.ask(FAR, { ...saturated, value }))
      await counted(subject.ask(NEAR, { ...saturated, value }))
      await counted(port.roundTrips({ ...ports, value }))
    }

    log('idle')
    const idleUs = await interleave(rounds, {
      ask: async () => (await subject.ask(FAR, idle)).p50Us,
      port: async () => (await port.roundTrips(idle)).p50Us,
    })
    ratios.push({
      name: 'ask / bare MessagePort: idle round trip p50',
      value: ratioOf(idleUs.ask, idleUs.port),
      atMost: 1.5,
    })
    const figures = [
      { name: 'ask across shards, idle p50', value: median(idleUs.ask), unit: 'µs' },
      { name: 'bare MessagePort, idle p50', value: median(idleUs.port), unit: 'µs' },
    ]

    for (const [what, value] of Object.entries(VALUES)) {
      log(`saturated: ${what}`)
      const rate = await interleave(rounds, {
        ask: async () => (await subject.ask(FAR, { ...saturated, value })).perSecond,
        port: async () => (await port.roundTrips({ ...ports, value })).perSecond,
        local: async () => (await subject.ask(NEAR, { ...saturated, value })).perSecond,
        tell: () => subject.tell(FAR, sizes.tells, value),
      })
      ratios.push({
        name: `ask / bare MessagePort: round trips per second, ${IN_FLIGHT} in flight, ${what}`,
        value: ratioOf(rate.ask, rate.port),
        ...(value === BYTES ? { atLeast: 8 } : {}),
      })
      figures.push({ name: `ask across shards, ${what}`, value: median(rate.ask), unit: 'asks/s' })
      figures.push({ name: `bare MessagePort, ${what}`, value: median(rate.port), unit: 'round trips/s' })
      figures.push({ name: `ask within one shard, ${what}`, value: median(rate.local), unit: 'asks/s' })
      figures.push({ name: `tell across shards, ${what}`, value: median(rate.tell), unit: 'tells/s' })
    }

    log('from main')
    const main = await interleave(Math.min(rounds, 3), {
      rate: async () => (await subject.askFromMain({ ...saturated, value: BYTES })).perSecond,
      idleUs: async () => (await subject.askFromMain(idle)).p50Us,
    })
    figures.push({ name: 'ask from main, idle p50', value: median(main.idleUs), unit: 'µs' })
    figures.push({ name: 'ask from main', value: median(main.rate), unit: 'asks/s' })
    return { ratios, figures, hash: answers }
  },
})

type AskTask = Parameters<typeof measureAsks>[1]

/** The runtime with an actor that asks on shard 0 and one that answers on each shard. */
class Asks {
  readonly #runtime: Runtime

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  ask(shard: number, task: AskTask): Promise<AskFigures> {
    return this.#asker().ask('ask', { ...task, id: idOn(shard, SHARDS, answerer.kind) })
  }

  tell(shard: number, count: number, value: unknown): Promise<number> {
    return this.#asker().ask('tell', { id: idOn(shard, SHARDS, answerer.kind), count, value })
  }

  askFromMain(task: AskTask): Promise<AskFigures> {
    return measureAsks(this.#runtime.actor(answerer, idOn(FAR, SHARDS, answerer.kind)), task)
  }

  #asker() {
    return this.#runtime.actor(asker, idOn(NEAR, SHARDS, asker.kind)).within(PATIENCE)
  }
}

/** Two workers with a bare MessagePort between them. */
class PortPair implements AsyncDisposable {
  readonly #asker = new Worker(new URL('./round-trip-worker.ts', import.meta.url))
  readonly #answerer = new Worker(new URL('./round-trip-worker.ts', import.meta.url))

  async roundTrips(task: Omit<Task, 'role' | 'carrier'>): Promise<Done> {
    const { port1, port2 } = new MessageChannel()
    const done = Promise.all([once(this.#asker, 'message'), once(this.#answerer, 'message')])
    const answer: Task = { ...task, role: 'answer', carrier: { kind: 'port', port: port2 } }
    const ask: Task = { ...task, role: 'ask', carrier: { kind: 'port', port: port1 } }
    this.#answerer.postMessage(answer, [port2])
    this.#asker.postMessage(ask, [port1])
    const [[result]] = (await done) as [[Done], unknown[]]
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#asker.terminate(), this.#answerer.terminate()])
  }
}

async function stop(runtime: Runtime): Promise<void> {
  await runtime.drain()
  await runtime.ended
}
