// One history of topics, step by step. Every client checks order, duplicates and gaps by itself (topic-world.ts); here it
// is checked that nothing is missing in the end, that the books balance all the way, and that nothing is left behind.
import assert from 'node:assert/strict'
import { defineTopic, slotOfTopic, type TopicDefinition } from '../../src/actor/topic-definition.ts'
import type { FrozenSubscription } from '../../src/actor/topic-frozen.ts'
import type { Client, TestConnection } from './topic-client.ts'
import { positioned, World } from './topic-world.ts'

export const THREADS = 3
const IDLE_MS = 120_000
const key = (message: { count: number }): string => String(message.count % 3)
const common = { encode: positioned, presence: true, idleAfter: IDLE_MS }
const DEFINITIONS: readonly TopicDefinition[] = [
  defineTopic({ kind: 'plain', ...common }),
  defineTopic({ kind: 'kept', history: { count: 20, age: '30s' }, ...common }),
  defineTopic({ kind: 'newest', slow: 'drop-oldest', ...common }),
  defineTopic({ kind: 'latest', slow: 'conflate', key, ...common }),
  defineTopic({ kind: 'later', slow: 'catch-up', history: { count: 30 }, ...common }),
]
export const TOPICS = ['plain.a', 'kept.b', 'newest.c', 'latest.d', 'later.e']

interface Traveller {
  readonly client: Client
  readonly to: number
  readonly frozen: FrozenSubscription[]
}

export type Step =
  | { readonly kind: 'publish'; readonly thread: number; readonly topic: number; readonly count: number }
  | { readonly kind: 'connect' | 'move-topic'; readonly thread: number; readonly topic: number }
  | { readonly kind: 'close' | 'return' | 'stick' | 'drain' | 'move'; readonly pick: number; readonly thread: number }
  | { readonly kind: 'deliver' | 'arrive' | 'shift' | 'port'; readonly pick: number }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'kill'; readonly thread: number }

export class Trial {
  readonly world: World
  readonly open: { connection: TestConnection; thread: number }[] = []
  readonly travellers: Traveller[] = []
  #kills = 0

  constructor(linkMax: number, refuses: boolean, seed: number) {
    let state = seed
    const random = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return state / 2 ** 32
    }
    this.world = new World({ threads: THREADS, definitions: DEFINITIONS, linkMax, random })
    this.world.refusesRoutes = refuses
  }

  perform(step: Step): void {
    const { world } = this
    switch (step.kind) {
      case 'publish':
        for (let left = step.count; left > 0; left--) world.publish(step.thread, TOPICS[step.topic] as string)
        break
      case 'connect':
        this.#opened(world.connect(step.thread, TOPICS[step.topic] as string), step.thread)
        break
      case 'move-topic':
        if (!world.moving) world.moveTopic(TOPICS[step.topic] as string, step.thread)
        break
      case 'close':
        this.#take(step.pick, (connection, thread) => world.close(thread, connection))
        break
      case 'return':
        this.#take(step.pick, (connection, thread) => {
          world.close(thread, connection)
          const { client } = connection
          const since = client.epoch === 0 ? undefined : client.since
          this.#opened(world.connect(step.thread, client.topic, since), step.thread)
        })
        break
      case 'stick':
      case 'drain': {
        const chosen = this.open[step.pick % Math.max(1, this.open.length)]
        if (chosen === undefined) break
        chosen.connection.stuck = step.kind === 'stick'
        if (step.kind === 'stick') chosen.connection.bufferedBytes += 3000
        else chosen.connection.bufferedBytes = 0
        if (step.kind === 'drain') world.thread(chosen.thread).relay.writable(chosen.connection)
        break
      }
      case 'move':
        this.#take(step.pick, (connection, thread) => {
          const { client } = connection
          this.travellers.push({ client, to: step.thread, frozen: world.leave(thread, connection) })
        })
        break
      case 'arrive':
        this.#arrive(step.pick)
        break
      case 'deliver': {
        const links = world.links()
        const key = links[step.pick % Math.max(1, links.length)]
        if (key !== undefined) world.deliver(key >> 6, key & 63, 1 + (step.pick % 4))
        break
      }
      case 'shift':
        world.shiftNext(step.pick)
        break
      case 'port': {
        const ports = world.ports()
        const key = ports[step.pick % Math.max(1, ports.length)]
        if (key !== undefined) world.port(key >> 6, key & 63)
        break
      }
      case 'pass':
        world.run(step.ms)
        break
      case 'kill':
        if (world.moving || this.#kills++ > 2) break
        this.#kill(step.thread)
    }
    world.checkBooks()
  }

  finish(): void {
    const { world } = this
    world.refusesRoutes = false
    while (this.travellers.length > 0) this.#arrive(0)
    for (const { connection } of this.open) {
      connection.stuck = false
      connection.bufferedBytes = 0
    }
    // Longer than an audit and everything it may start.
    world.pass(35_000, 250)
    world.checkBooks()
    world.checkQuiet()
    this.#checkLevel()
    for (const { connection, thread } of this.open.splice(0)) world.close(thread, connection)
    world.pass(2_000, 100)
    world.checkQuiet()
    for (const thread of world.threads) {
      const { topics, connections, subscriptions } = thread.relay.report()
      assert.deepEqual({ topics, connections, subscriptions }, { topics: 0, connections: 0, subscriptions: 0 })
      const { interests, members } = thread.homes.report()
      assert.deepEqual({ interests, members }, { interests: 0, members: 0 })
    }
    // The history of `later` lasts for an hour.
    for (let hour = 0; hour < 2; hour++) world.run(3_700_000)
    for (const thread of world.threads) assert.equal(thread.homes.report().topics, 0)
  }

  /** One more message of each topic reaches everybody: so nobody misses anything without knowing. */
  #checkLevel(): void {
    const { world } = this
    const before = this.open.map(({ connection }) => connection.client.expected)
    for (const topic of TOPICS) {
      assert.ok(world.publish(0, topic))
      world.settle()
    }
    world.pass(3_000, 250)
    for (const [index, { connection }] of this.open.entries()) {
      const { client } = connection
      assert.ok(client.live, `client ${client.id} is subscribed`)
      assert.equal(client.expected, (before[index] ?? 0) + 1, `client ${client.id} of ${client.topic} is level`)
    }
    for (const topic of TOPICS) {
      const owner = world.owners.get(slotOfTopic(topic)) ?? 0
      const present = this.open.filter(({ connection }) => connection.client.topic === topic).length
      const home = world.thread(owner).homes.freezeSlot(slotOfTopic(topic))
      assert.equal(home.find(({ name }) => name === topic)?.members.length ?? 0, present, `presence of ${topic}`)
      world.thread(owner).homes.thaw(structuredClone(home))
    }
    world.pass(2_000, 250)
  }

  #opened(connection: TestConnection, thread: number): void {
    this.open.push({ connection, thread })
  }

  #take(pick: number, action: (connection: TestConnection, thread: number) => void): void {
    const [chosen] = this.open.splice(pick % Math.max(1, this.open.length), 1)
    if (chosen !== undefined) action(chosen.connection, chosen.thread)
  }

  #arrive(pick: number): void {
    const [traveller] = this.travellers.splice(pick % Math.max(1, this.travellers.length), 1)
    if (traveller === undefined) return
    this.#opened(this.world.arrive(traveller.to, traveller.client, traveller.frozen), traveller.to)
  }

  #kill(thread: number): void {
    this.world.kill(thread)
    for (let index = this.open.length - 1; index >= 0; index--) {
      if (this.open[index]?.thread === thread) this.open.splice(index, 1)
    }
    // What was on its way there is lost with it.
    for (let index = this.travellers.length - 1; index >= 0; index--) {
      if (this.travellers[index]?.to === thread) this.travellers.splice(index, 1)
    }
  }
}
