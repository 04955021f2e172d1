// Topics over three hosts and a real Redis: everywhere the same messages under the same offsets, whoever publishes; who
// loses its host goes on at another one where it was; and neither a crash nor an outage costs anything in silence.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { type Server, startServer } from '../harness/server.ts'
import { TopicCrowd } from '../harness/topic-crowd.ts'
import type { TopicPlace } from '../harness/topic-reader.ts'
import { pause, waitUntil } from '../harness/wait.ts'

const HOSTS = 3
const SHARDS = 2
const MEMBERS = 6
const PER_SECOND = 200
const KEYS = 1_000_000
const MOVED_MS_MAX = 30_000
const DURABLE = ['appendonly yes', 'appendfsync always']

let redis: RedisServer
let hosts: Server[]

before(async () => {
  redis = await startRedis({ config: DURABLE })
  hosts = await Promise.all(Array.from({ length: HOSTS }, startHost))
})

after(async () => {
  await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()))
  await redis[Symbol.asyncDispose]()
  assert.deepEqual(
    hosts.flatMap(({ stray }) => stray),
    [],
  )
})

function startHost(): Promise<Server> {
  return startServer({
    shards: SHARDS,
    modules: ['test/harness/topic-service.ts'],
    settings: {
      'bridge.redis.url': redis.url,
      'shard.restartBackoff.max': '200ms',
      // It publishes by itself.
      'services.hub.enabled': false,
    },
  })
}

async function openOn(host: number, topic: string): Promise<TopicCrowd> {
  const crowd = await TopicCrowd.open(hosts[host] as Server, MEMBERS)
  for (const reader of crowd.readers) reader.keepsKeys = true
  await crowd.subscribe(topic)
  return crowd
}

async function move(host: Server, path: string, body: object): Promise<void> {
  const done = (): number => host.logged('runtime.move_done').length
  const before = done()
  const headers = { 'content-type': 'application/json' }
  assert.equal((await host.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).status, 202)
  await waitUntil(`${path} is done`, () => done() > before, MOVED_MS_MAX)
}

function placesOf(crowd: TopicCrowd, topic: string): TopicPlace[] {
  return crowd.readers.map((reader) => {
    const place = reader.place(topic)
    assert.ok(place, reader.name)
    return place
  })
}

async function run(crowd: TopicCrowd, topic: string): Promise<void> {
  assert.equal(await crowd.ask(`run ${topic} ${PER_SECOND} 20 ${KEYS} ${KEYS}`), 'running')
}

async function stop(crowd: TopicCrowd, topic: string): Promise<number> {
  return (JSON.parse(await crowd.ask(`stop ${topic}`)) as { published: number }).published
}

/** Offset by key of what each has; all must agree on what they share. */
function assertSame(crowds: readonly TopicCrowd[], topic: string): void {
  const all = new Map<string, number>()
  for (const place of crowds.flatMap((crowd) => placesOf(crowd, topic))) {
    for (const [key, offset] of place.keys) assert.equal(all.get(key) ?? offset, offset, key)
    for (const [key, offset] of place.keys) all.set(key, offset)
  }
}

test('hosts: all have the same messages under the same offsets, whoever publishes', async () => {
  const topic = 'whole.a'
  using one = await openOn(0, topic)
  using two = await openOn(1, topic)
  using three = await openOn(2, topic)
  const crowds = [one, two, three]
  const epochs = new Set(crowds.flatMap((crowd) => placesOf(crowd, topic)).map(({ epoch }) => epoch))
  assert.equal(epochs.size, 1)
  await run(one, topic)
  for (const crowd of [two, three]) assert.equal(await crowd.ask(`pub ${topic} 50 10`), 'published 50')
  await waitUntil('all hear it', () => crowds.every((crowd) => crowd.reached(topic) > PER_SECOND))
  const published = (await stop(one, topic)) + 100
  await waitUntil('all have all', () => crowds.every((crowd) => crowd.reached(topic) === published))
  assertSame(crowds, topic)
  using late = await TopicCrowd.open(hosts[2] as Server, 1)
  const [place] = placesOf(one, topic)
  await late.subscribe(topic, { epoch: place?.epoch ?? 0, offset: 10 })
  await waitUntil('it catches up', () => late.reached(topic) === published)
  const [event] = late.readers[0]?.events ?? []
  assert.ok(event?.type === 'subscribed')
  assert.deepEqual([event.recovered, event.missed, event.offset], [true, 0, 10])
})

test('hosts: killed under load, their subscribers go on at other hosts, without loss or duplicate', async () => {
  const topic = 'whole.b'
  using one = await openOn(0, topic)
  await run(one, topic)
  let here = await openOn(1, topic)
  for (const [victim, refuge] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const reached = here.reached(topic)
    await waitUntil('it goes on', () => here.reached(topic) > reached + PER_SECOND / 4)
    ;(hosts[victim] as Server).signal('SIGKILL')
    await waitUntil('they are cut', () => here.readers.every(({ end }) => end !== undefined))
    const back = await TopicCrowd.open(hosts[refuge] as Server, MEMBERS)
    for (const [index, { epoch, offset }] of placesOf(here, topic).entries()) {
      const member = back.members[index]
      if (member !== undefined) member.reader.keepsKeys = true
      member?.say(`sub ${topic} ${epoch} ${offset}`)
    }
    await waitUntil('they are back', () => back.readers.every((reader) => reader.place(topic) !== undefined))
    for (const [index, reader] of back.readers.entries()) {
      const [event] = reader.events
      assert.ok(event?.type === 'subscribed' && event.recovered && event.missed === 0)
      assert.equal(event.offset, placesOf(here, topic)[index]?.offset)
    }
    assertSame([one, here, back], topic)
    here[Symbol.dispose]()
    here = back
    hosts[victim] = await startHost()
  }
  const published = await stop(one, topic)
  await waitUntil('all have all', () => here.reached(topic) === published && one.reached(topic) === published)
  for (const { gaps } of [...placesOf(one, topic), ...placesOf(here, topic)]) assert.deepEqual(gaps, [])
  here[Symbol.dispose]()
})

test('hosts: shards killed one after the other, topics that live there go on where they were', async () => {
  const topics = ['whole.c', 'whole.d', 'whole.e', 'cut.f']
  using two = await openOn(1, topics[0] as string)
  for (const topic of topics.slice(1)) await two.subscribe(topic)
  using one = await openOn(0, topics[0] as string)
  for (const topic of topics) await run(two, topic)
  await waitUntil('all hear', () => topics.every((topic) => two.reached(topic) > PER_SECOND / 4))
  for (let shard = 0; shard < SHARDS; shard++) {
    await (hosts[0] as Server).kill(shard)
    await (hosts[0] as Server).recovered(shard, 1)
  }
  for (const topic of topics) {
    const published = await stop(two, topic)
    await waitUntil('all have all', () => two.reached(topic) === published)
    for (const { gaps } of placesOf(two, topic)) assert.deepEqual(gaps, [], 'another host notices nothing')
  }
  using back = await openOn(0, topics[0] as string)
  assert.equal(placesOf(back, topics[0] as string)[0]?.epoch, placesOf(two, topics[0] as string)[0]?.epoch)
  assert.deepEqual(one.faults, [])
})

test('hosts: a reload, and other numbers of shards, cost nobody a message', async () => {
  const topics = ['whole.i', 'cut.j']
  using one = await openOn(0, topics[0] as string)
  using two = await openOn(1, topics[0] as string)
  for (const crowd of [one, two]) await crowd.subscribe(topics[1] as string)
  for (const topic of topics) await run(one, topic)
  await waitUntil('all hear', () => topics.every((topic) => two.reached(topic) > PER_SECOND / 4))
  const host = hosts[0] as Server
  for (const [path, body] of [
    ['/api/v1/reload', {}],
    ['/api/v1/shards', { count: 3 }],
    ['/api/v1/shards', { count: 2 }],
  ] as const) {
    const reached = two.reached('cut.j')
    await move(host, path, body)
    await waitUntil('it goes on', () => two.reached('cut.j') > reached + PER_SECOND / 4)
  }
  for (const topic of topics) {
    const published = await stop(one, topic)
    await waitUntil('all have all', () => [one, two].every((crowd) => crowd.reached(topic) === published))
    for (const { gaps } of [one, two].flatMap((crowd) => placesOf(crowd, topic))) assert.deepEqual(gaps, [])
  }
})

test('hosts: Redis away: what is published stays on its host and is counted; back again, all go on', async () => {
  const topic = 'whole.g'
  using one = await openOn(0, topic)
  using two = await openOn(1, topic)
  assert.equal(await one.ask(`pub ${topic} 20 1`), 'published 20')
  await waitUntil('all have them', () => [one, two].every((crowd) => crowd.reached(topic) === 20))
  const [before] = placesOf(two, topic)
  const epoch = before?.epoch
  await redis.kill()
  await waitUntil('it is noticed', async () => (await (hosts[0] as Server).health()).status !== 'healthy')
  assert.equal(await one.ask(`pub ${topic} 5 1`), 'published 5')
  const lost = async (): Promise<number> =>
    (await (hosts[0] as Server).metrics()).sum('polyloop_topic_unpublished_total', {})
  await waitUntil('they are counted', async () => (await lost()) === 5)
  await waitUntil('who is on the host has them', () => one.reached(topic) === 5)
  assert.equal(await one.ask(`pub ${topic} 2 1`), 'published 2')
  await waitUntil('and those behind them', () => one.reached(topic) === 7)
  for (const { gaps } of placesOf(one, topic)) assert.deepEqual(gaps, ['epoch'])
  using waiting = await TopicCrowd.open(hosts[2] as Server, 1)
  const subscribed = waiting.subscribe(topic)
  await pause(300)
  assert.deepEqual(waiting.readers[0]?.events, [])
  await redis.start()
  await subscribed
  const isBack = (): boolean => placesOf(one, topic).every((place) => place.epoch === epoch)
  await waitUntil('they are with the others again', isBack)
  const last = one.reached(topic)
  assert.equal(last, 20)
  assert.equal(await one.ask(`pub ${topic} 1 1`), 'published 1')
  await waitUntil('all have it', () => [one, two, waiting].every((crowd) => crowd.reached(topic) === last + 1))
  for (const { gaps } of placesOf(one, topic)) assert.deepEqual(gaps, ['epoch', 'epoch'])
  for (const { gaps } of placesOf(two, topic)) assert.deepEqual(gaps, [], 'nobody published there')
})

test('hosts: Redis lost its data: the topic begins anew, and everybody is told', async () => {
  const topic = 'cut.h'
  using one = await openOn(0, topic)
  using two = await openOn(1, topic)
  assert.equal(await one.ask(`pub ${topic} 3 1`), 'published 3')
  await waitUntil('all have them', () => [one, two].every((crowd) => crowd.reached(topic) === 3))
  const [before] = placesOf(one, topic)
  const epoch = before?.epoch
  redis.command('FLUSHALL')
  assert.equal(await two.ask(`pub ${topic} 1 1`), 'published 1')
  const all = [...placesOf(one, topic), ...placesOf(two, topic)]
  await waitUntil('all were told', () => all.every((place) => place.epoch !== epoch))
  for (const { gaps } of all) assert.deepEqual(gaps, ['epoch'])
  assert.equal(await two.ask(`pub ${topic} 1 1`), 'published 1')
  await waitUntil('they go on', () => [one, two].every((crowd) => crowd.reached(topic) === 2))
})
