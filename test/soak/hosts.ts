// Three hosts on one Redis whose processes are killed one after the other, and Redis too: a topic that spans them gives each
// subscriber each message once and in order, wherever it reconnects, from the offset it had.
import assert from 'node:assert/strict'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { type Server, startServer } from '../harness/server.ts'
import { TopicCrowd } from '../harness/topic-crowd.ts'
import type { TopicPlace } from '../harness/topic-reader.ts'
import { waitUntil } from '../harness/wait.ts'
import { defineScenario, mebibytes, type SoakFigure, spreadOf } from './scenario.ts'

const HOSTS = 3
const SHARDS = 2
const TOPIC = 'whole.s'
const LOG = `topic:${TOPIC}`
const SUBSCRIBERS = 300
const QUICK_SUBSCRIBERS = 30
const ROUNDS = 24
const QUICK_ROUNDS = 3
/** In every so many rounds Redis is killed, too, while the others go on publishing. */
const REDIS_EVERY = 3
const PER_SECOND = 200
const BYTES = 64
/** Each message of a round has a key of its own. */
const KEYS = 1_000_000
const PATIENCE_MS = 60_000
const DURABLE = ['appendonly yes', 'appendfsync always']

/** Where somebody stood when its host was gone. */
interface Left {
  readonly epoch: number
  readonly offset: number
}

interface Host {
  readonly server: Server
  /** Who speaks with it, and does not subscribe. */
  readonly control: TopicCrowd
}

/** Some of the subscribers, together on one host. */
interface Band {
  host: number
  crowd: TopicCrowd
}

class HostsTrial implements AsyncDisposable {
  readonly redis: RedisServer
  readonly #hosts: Host[] = []
  readonly #bands: Band[] = []
  readonly recoveriesMs: number[] = []
  readonly outagesMs: number[] = []
  published = 0
  /** Nobody took them, or nobody knows. */
  unpublished = 0
  recovered = 0
  #unpublishedBefore = 0

  constructor(redis: RedisServer) {
    this.redis = redis
  }

  async open(subscribers: number): Promise<void> {
    this.#hosts.push(...(await Promise.all(Array.from({ length: HOSTS }, () => this.#startHost()))))
    for (const [host, { server }] of this.#hosts.entries()) {
      const crowd = await TopicCrowd.open(server, subscribers / HOSTS)
      keepKeys(crowd)
      await crowd.subscribe(TOPIC)
      this.#bands.push({ host, crowd })
    }
  }

  async run(host: number): Promise<void> {
    this.#unpublishedBefore = await this.#unpublishedOf(host)
    assert.equal(await this.#host(host).control.ask(`run ${TOPIC} ${PER_SECOND} ${BYTES} ${KEYS} ${KEYS}`), 'running')
  }

  /** Waits until everybody has everything, and holds it against the log and each other. */
  async stop(host: number): Promise<void> {
    const { published } = JSON.parse(await this.#host(host).control.ask(`stop ${TOPIC}`)) as { published: number }
    this.published += published
    const unpublished = this.unpublished - this.#unpublishedBefore
    await waitUntil(
      'everything is in the log, and everybody has it',
      async () => {
        this.unpublished = unpublished + (await this.#unpublishedOf(host))
        const last = this.last()
        const isThere = last >= this.published - this.unpublished
        return isThere && this.#bands.every(({ crowd }) => crowd.reached(TOPIC) === last)
      },
      PATIENCE_MS,
    )
    assert.ok(this.last() <= this.published)
    this.#assertWhole()
  }

  /** Of the log itself. */
  last(): number {
    return Number(/^\d+-(\d+)$/m.exec(this.redis.command('XREVRANGE', LOG, '+', '-', 'COUNT', 1))?.[1])
  }

  logBytes(): number {
    return Number(this.redis.command('MEMORY', 'USAGE', LOG, 'SAMPLES', 0))
  }

  /** Everybody hears what is published now. */
  async flows(): Promise<void> {
    const from = this.last()
    const isHeard = (): boolean => this.#bands.every(({ crowd }) => crowd.reached(TOPIC) > from + PER_SECOND / 4)
    await waitUntil('messages flow', isHeard, PATIENCE_MS)
  }

  /** Its subscribers go to another host, and go on where they were. */
  async killHost(victim: number): Promise<void> {
    const startMs = performance.now()
    const { server, control } = this.#host(victim)
    server.signal('SIGKILL')
    await server.ended
    control[Symbol.dispose]()
    const bands = this.#bands.filter(({ host }) => host === victim)
    await Promise.all(bands.map((band) => this.#move(band, this.#refuge(victim))))
    const level = this.last()
    await waitUntil('they are level', () => bands.every(({ crowd }) => crowd.reached(TOPIC) >= level), PATIENCE_MS)
    if (bands.length > 0) this.recoveriesMs.push(performance.now() - startMs)
  }

  async restart(host: number): Promise<void> {
    this.#hosts[host] = await this.#startHost()
  }

  async killRedis(): Promise<void> {
    const startMs = performance.now()
    await this.redis.kill()
    await this.redis.start()
    await this.flows()
    this.outagesMs.push(performance.now() - startMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { crowd } of this.#bands) crowd[Symbol.dispose]()
    for (const { control } of this.#hosts) control[Symbol.dispose]()
    await Promise.all(this.#hosts.map(({ server }) => server[Symbol.asyncDispose]()))
  }

  /** The one with the fewest subscribers. */
  #refuge(victim: number): number {
    const bandsOn = (host: number): number => this.#bands.filter((band) => band.host === host).length
    const others = this.#hosts.map((_, host) => host).filter((host) => host !== victim)
    return others.reduce((least, host) => (bandsOn(host) < bandsOn(least) ? host : least))
  }

  async #move(band: Band, host: number): Promise<void> {
    const { crowd } = band
    await waitUntil('they are cut', () => crowd.readers.every(({ end }) => end !== undefined), PATIENCE_MS)
    assert.deepEqual(crowd.faults, [])
    const left = crowd.readers.map((reader): Left => placeOf(reader.place(TOPIC)))
    band.host = host
    band.crowd = await TopicCrowd.open(this.#host(host).server, left.length)
    keepKeys(band.crowd)
    const { members, readers } = band.crowd
    for (const [index, { epoch, offset }] of left.entries()) members[index]?.say(`sub ${TOPIC} ${epoch} ${offset}`)
    const isBack = (): boolean => readers.every((reader) => reader.place(TOPIC) !== undefined)
    await waitUntil('they have subscribed', isBack, PATIENCE_MS)
    for (const [index, reader] of readers.entries()) {
      const [event] = reader.events
      assert.ok(event?.type === 'subscribed', reader.name)
      const { epoch, offset, recovered, missed } = event
      assert.deepEqual({ epoch, offset, recovered, missed }, { ...left[index], recovered: true, missed: 0 })
      this.recovered++
    }
    crowd[Symbol.dispose]()
  }

  /** No gap, no fault, and the same message under the same offset everywhere. */
  #assertWhole(): void {
    const offsets = new Map<string, number>()
    for (const { crowd } of this.#bands) {
      const { faults, readers } = crowd
      assert.deepEqual(faults, [])
      for (const reader of readers) assert.deepEqual(reader.place(TOPIC)?.gaps, [], reader.name)
      for (const [key, offset] of readers[0]?.place(TOPIC)?.keys ?? []) {
        assert.equal(offsets.get(key) ?? offset, offset, key)
        offsets.set(key, offset)
      }
    }
  }

  async #unpublishedOf(host: number): Promise<number> {
    return (await this.#host(host).server.metrics()).sum('polyloop_topic_unpublished_total', {})
  }

  async #startHost(): Promise<Host> {
    const server = await startServer({
      shards: SHARDS,
      modules: ['test/harness/topic-service.ts'],
      settings: { 'bridge.redis.url': this.redis.url },
    })
    return { server, control: await TopicCrowd.open(server, 1) }
  }

  #host(index: number): Host {
    return this.#hosts[index] as Host
  }
}

/** One of a crowd keeps what it heard: all of them would be too much. */
function keepKeys({ readers }: TopicCrowd): void {
  const [first] = readers
  if (first !== undefined) first.keepsKeys = true
}

function placeOf(place: TopicPlace | undefined): Left {
  assert.ok(place)
  const { epoch, offset } = place
  return { epoch, offset }
}

export const hosts = defineScenario({
  claim:
    'Three hosts are killed and started again in turn, and Redis with its append-only file between: 300 subscribers of a topic reconnect elsewhere and get every message once and in order.',
  limitMs: 15 * 60_000,
  async run({ quick, log }): Promise<readonly SoakFigure[]> {
    const subscribers = quick ? QUICK_SUBSCRIBERS : SUBSCRIBERS
    const rounds = quick ? QUICK_ROUNDS : ROUNDS
    await using redis = await startRedis({ config: DURABLE })
    await using trial = new HostsTrial(redis)
    await trial.open(subscribers)
    for (let round = 0; round < rounds; round++) {
      const [victim, publisher] = [round % HOSTS, (round + 1) % HOSTS]
      await trial.run(publisher)
      await trial.flows()
      await trial.killHost(victim)
      const back = trial.restart(victim)
      if (round % REDIS_EVERY === REDIS_EVERY - 1) await trial.killRedis()
      await trial.flows()
      await back
      await trial.flows()
      await trial.stop(publisher)
      if ((round + 1) % REDIS_EVERY === 0) log(`${round + 1} of ${rounds} rounds, ${trial.last()} messages`)
    }
    const entries = `${trial.redis.command('XLEN', LOG)} entries, ${mebibytes(trial.logBytes())}`
    return [
      {
        name: 'subscribers; hosts killed; Redis killed',
        value: `${subscribers}; ${rounds}; ${trial.outagesMs.length}`,
      },
      { name: 'messages, each of them with every subscriber', value: String(trial.last()) },
      { name: 'published while Redis was away, and counted as lost', value: String(trial.unpublished) },
      { name: 'subscribers that went on elsewhere, without loss or duplicate', value: String(trial.recovered) },
      { name: 'from the death of a host until its subscribers are level again', value: spreadOf(trial.recoveriesMs) },
      { name: 'from the death of Redis until messages flow again', value: spreadOf(trial.outagesMs) },
      { name: `what Redis keeps, messages of ${BYTES} bytes`, value: entries },
    ]
  },
})
