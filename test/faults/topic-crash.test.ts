// Shards that are killed under the load of topics: who is on another shard hears of a lost topic and goes on, or
// notices nothing; who was on it comes back to where it was.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { slotOfTopic } from '../../src/actor/topic-definition.ts'
import { SlotTable, slotOf } from '../../src/placement/slots.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { topicBooks } from '../harness/topic-books.ts'
import { TopicCrowd } from '../harness/topic-crowd.ts'
import type { TopicPlace, TopicReader } from '../harness/topic-reader.ts'
import { waitUntil } from '../harness/wait.ts'

const SHARDS = 3
const VICTIM = 1
const OTHERS = [0, 2] as const
const MEMBERS = 20
const PER_SECOND = 200
const IDS = 'abcdefghijklmnopqrstuvwxyz0123456789'

let server: Server
let restarts = 0

before(async () => {
  server = await startServer({
    shards: SHARDS,
    modules: ['test/harness/topic-service.ts'],
    settings: { 'shard.restartBackoff.max': '200ms' },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

/** A topic of this kind that lives on a shard, with its publisher on one that stays. */
function topicOn(kind: string, shard: number): string {
  const table = SlotTable.allocate()
  table.spread(SHARDS)
  const name = [...IDS]
    .map((id) => `${kind}.${id}`)
    .find(
      (topic) => table.shardOf(slotOfTopic(topic)) === shard && table.shardOf(slotOf(`publisher/${topic}`)) !== VICTIM,
    )
  assert.ok(name)
  return name
}

function onOthers(index: number): string {
  return sessionOn(OTHERS[index % OTHERS.length] as number, SHARDS, 'topical', index)
}

function placeOf(reader: TopicReader, topic: string): TopicPlace {
  const place = reader.place(topic)
  assert.ok(place, `${reader.name} in ${topic}`)
  return place
}

async function killVictim(): Promise<void> {
  await server.kill(VICTIM)
  await server.recovered(VICTIM, ++restarts)
}

test('topic: its home killed, subscribers elsewhere hear that it begins anew and go on', async () => {
  const topic = topicOn('whole', VICTIM)
  using crowd = await TopicCrowd.open(server, MEMBERS, { sessionOf: onOthers })
  await crowd.subscribe(topic)
  assert.equal(await crowd.ask(`run ${topic} ${PER_SECOND} 20 1 1000000`), 'running')
  await waitUntil('all hear it', () => crowd.reached(topic) > PER_SECOND / 2)
  const [firstEpoch] = crowd.readers.map((reader) => placeOf(reader, topic).epoch)
  await killVictim()
  const isAnew = (reader: TopicReader): boolean => placeOf(reader, topic).epoch !== firstEpoch
  await waitUntil('all were told', () => crowd.readers.every(isAnew))
  const counts = crowd.readers.map((reader) => placeOf(reader, topic).messages)
  const isGoingOn = (reader: TopicReader, index: number): boolean =>
    placeOf(reader, topic).messages > (counts[index] as number) + PER_SECOND / 4
  await waitUntil('all go on', () => crowd.readers.every(isGoingOn))
  const { refused } = JSON.parse(await crowd.ask(`stop ${topic}`)) as { refused: number }
  assert.equal(refused, 0)
  // In order behind the last of the actor's: whoever has it has everything.
  assert.equal(await crowd.ask(`pub ${topic} 1 1`), 'published 1')
  const places = crowd.readers.map((reader) => placeOf(reader, topic))
  await waitUntil('all have the same', () => {
    const offsets = new Set(places.map(({ offset }) => offset))
    return offsets.size === 1
  })
  assert.equal(new Set(places.map(({ epoch }) => epoch)).size, 1)
  for (const { gaps } of places) assert.deepEqual(gaps, ['epoch'])
  assert.deepEqual(crowd.faults, [])
  const metrics = await server.metrics()
  for (const shard of OTHERS) assert.equal(topicBooks(metrics, 'whole', shard).inFlight, 0)
})

test('topic: subscribers killed with their shard cost nobody else anything, and come back to where they were', async () => {
  const topic = topicOn('whole', OTHERS[0])
  using others = await TopicCrowd.open(server, MEMBERS, { sessionOf: onOthers })
  const victims = (index: number): string => sessionOn(VICTIM, SHARDS, 'topical', index)
  using lost = await TopicCrowd.open(server, MEMBERS, { sessionOf: victims })
  await Promise.all([others.subscribe(topic), lost.subscribe(topic)])
  assert.equal(await others.ask(`run ${topic} ${PER_SECOND} 20 1 1000000`), 'running')
  await waitUntil('all hear it', () => Math.min(others.reached(topic), lost.reached(topic)) > PER_SECOND / 2)
  const heard = others.reached(topic)
  await killVictim()
  await waitUntil('they are gone', () => lost.readers.every(({ end }) => end !== undefined))
  await waitUntil('the others go on', () => others.reached(topic) > heard + PER_SECOND / 2)

  for (const reader of lost.readers) {
    const { epoch, offset } = placeOf(reader, topic)
    using back = await TopicCrowd.open(server, 1, { sessionOf: victims })
    await back.subscribe(topic, { epoch, offset })
    const [event] = back.readers.flatMap(({ events }) => events)
    assert.equal(event?.type, 'subscribed')
    assert.deepEqual([event.recovered, event.missed, event.offset], [true, 0, offset])
    const last = others.reached(topic)
    await waitUntil('it has caught up', () => back.reached(topic) >= last)
    assert.deepEqual(back.faults, [])
  }
  const { published, refused } = JSON.parse(await others.ask(`stop ${topic}`)) as { published: number; refused: number }
  assert.equal(refused, 0)
  await waitUntil('the others have all of it', () => others.reached(topic) === published)
  for (const reader of others.readers) assert.equal(placeOf(reader, topic).messages, published)
  assert.deepEqual([...others.faults, ...lost.faults], [])
  const metrics = await server.metrics()
  for (const shard of OTHERS) assert.equal(topicBooks(metrics, 'whole', shard).inFlight, 0)
})
