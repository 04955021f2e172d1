// Topics over real sockets on four shards: every subscriber gets every message in order, whoever publishes; those that
// stop reading get what their kind promises; those that come back go on where they were; and the books balance.
import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { after, before, test } from 'node:test'
import { createRuntime, type Runtime, type TopicEvent } from '../../src/index.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { droppedFor, topicBooks } from '../harness/topic-books.ts'
import { TopicCrowd, type TopicMember } from '../harness/topic-crowd.ts'
import type { TopicPlace, TopicReader } from '../harness/topic-reader.ts'
import { machineUs } from '../harness/topic-service.ts'
import { waitUntil } from '../harness/wait.ts'

const SHARDS = 4
const QUEUE = 30
const KEYS = 10
const BRIEF_HISTORY = 20
/** So much that the kernel's buffers and the limits of the server are full long before the last. */
const HEAVY_BYTES = 32 * 1024
const HEAVY_COUNT = 400
const GOOD = 4
const SLOW = 2

let runtime: Runtime
let log = ''
const server = {
  port: (listener: string): number =>
    runtime.listeners.find(({ service, transport }) => `${service}.${transport}` === listener)?.port ?? 0,
}

before(async () => {
  runtime = await createRuntime({
    shards: SHARDS,
    modules: [new URL('../harness/topic-service.ts', import.meta.url)],
    only: ['topical'],
    settings: {
      'admin.port': 0,
      'services.topical.permessageDeflate': true,
      'topic.slowBytes': '64KiB',
      'topic.queue': QUEUE,
      'net.sendBuffer.max': '1MiB',
      'net.sendBuffer.high': '512KiB',
      'net.closeTimeout': '30s',
      'actor.serialiseLocal': true,
    },
    logStream: new Writable({
      write(chunk: Buffer, _encoding, done) {
        log += chunk.toString()
        done()
      },
    }),
  })
})

after(async () => {
  await runtime.close()
  const complaints = log.split('\n').filter((line) => /"level":"(error|fatal)"/.test(line))
  assert.deepEqual(complaints, [])
})

async function metrics(): Promise<MetricPage> {
  return new MetricPage(await runtime.metrics())
}

/** A member on each shard in turn. */
function spread(index: number): string {
  return sessionOn(index % SHARDS, SHARDS, 'topical', index)
}

function placeOf(reader: TopicReader, topic: string): TopicPlace {
  const place = reader.place(topic)
  assert.ok(place, `${reader.name} in ${topic}`)
  return place
}

/** What a reader was told first of a topic. */
function subscribed({ events }: TopicReader): Extract<TopicEvent, { type: 'subscribed' }> {
  const [event] = events
  assert.equal(event?.type, 'subscribed')
  return event as Extract<TopicEvent, { type: 'subscribed' }>
}

test('topic: a hundred subscribers get every message once and in order, from a service, an actor and main', async () => {
  using frames = await TopicCrowd.open(server, 60, { sessionOf: spread })
  using deflated = await TopicCrowd.open(server, 20, { speaks: 'deflated', sessionOf: spread })
  using lines = await TopicCrowd.open(server, 20, { speaks: 'lines' })
  const crowds = [frames, deflated, lines]
  for (let shard = 0; shard < SHARDS; shard++) assert.equal(await frames.ask('where', shard), `${shard}`)
  await Promise.all(crowds.map((crowd) => crowd.subscribe('cut.a')))
  let expected = 0
  const all = async (count: number): Promise<void> => {
    expected += count
    await waitUntil(`all have ${expected}`, () => crowds.every((crowd) => crowd.reached('cut.a') === expected))
  }
  assert.equal(await frames.ask('pub cut.a 100 10', 1), 'published 100')
  assert.equal(await lines.ask('pub cut.a 100 3000'), 'published 100')
  await all(200)
  // Fast: messages that leave in one turn are written as one batch.
  assert.equal(await frames.ask('run cut.a 5000 100 10 300'), 'running')
  await all(300)
  for (let index = 0; index < 100; index++)
    assert.equal(runtime.publish('cut.a', { us: machineUs(), key: 'main', bytes: index }), true)
  await all(100)
  assert.deepEqual(
    crowds.flatMap((crowd) => crowd.faults),
    [],
  )
  for (const reader of crowds.flatMap((crowd) => crowd.readers)) assert.equal(placeOf(reader, 'cut.a').missed, 0)
  assert.deepEqual(topicBooks(await metrics(), 'cut'), {
    published: 60_000,
    delivered: 60_000,
    inFlight: 0,
    dropped: 0,
  })
  // Whoever has left gets nothing, and is due nothing.
  await deflated.unsubscribe('cut.a')
  assert.equal(await frames.ask('pub cut.a 1 10'), 'published 1')
  await waitUntil('the others have it', () => frames.reached('cut.a') === expected + 1)
  await waitUntil('lines have it', () => lines.reached('cut.a') === expected + 1)
  assert.equal(topicBooks(await metrics(), 'cut').published, 60_080)
  assert.deepEqual(deflated.faults, [])
})

/** Some that read and some that do not, and heavy messages to all of them; then the slow ones read on. */
async function besideSlow(
  topic: string,
  check: (slow: readonly TopicReader[], good: readonly TopicReader[], page: MetricPage) => void | Promise<void>,
): Promise<void> {
  const [kind = ''] = topic.split('.')
  using good = await TopicCrowd.open(server, GOOD, { sessionOf: spread })
  using slow = await TopicCrowd.open(server, SLOW, { sessionOf: spread })
  using slowLine = await TopicCrowd.open(server, 1, { speaks: 'lines' })
  const slowMembers: TopicMember[] = [...slow.members, ...slowLine.members]
  for (const { reader } of slowMembers) reader.keepsKeys = true
  for (const crowd of [good, slow, slowLine]) await crowd.subscribe(topic)
  const before = topicBooks(await metrics(), kind)
  for (const member of slowMembers) member.pause()
  // In steps: the good ones keep up with each, so that only those that do not read are slow.
  const STEP = 10
  for (let published = 0; published < HEAVY_COUNT; published += STEP) {
    let from = 0
    while (from < STEP) {
      if (runtime.publish(topic, { us: machineUs(), key: `k${from % KEYS}`, bytes: HEAVY_BYTES })) from++
      else await new Promise(setImmediate)
    }
    await waitUntil('the good ones keep up', () => good.reached(topic) === published + STEP)
    if (published % 100 === 0) topicBooks(await metrics(), kind)
  }
  const page = await metrics()
  const books = topicBooks(page, kind)
  for (const member of slowMembers) member.resume()
  const isDone = ({ reader }: TopicMember): boolean =>
    reader.end !== undefined || placeOf(reader, topic).offset === HEAVY_COUNT
  await waitUntil('the slow ones have what they get', () => slowMembers.every(isDone))
  assert.deepEqual([...good.faults, ...slow.faults, ...slowLine.faults], [])
  for (const reader of good.readers) assert.equal(placeOf(reader, topic).messages, HEAVY_COUNT)
  await check(
    slowMembers.map(({ reader }) => reader),
    good.readers,
    page,
  )
  const end = topicBooks(await metrics(), kind)
  assert.equal(end.inFlight, 0)
  // Nothing was published meanwhile: a disconnected one is due nothing more, and all others were due it already.
  assert.equal(end.published, books.published)
  assert.ok(end.published - before.published <= (GOOD + SLOW + 1) * HEAVY_COUNT)
}

test('topic: disconnect closes who stops reading with 1008', async () => {
  await besideSlow('cut.b', async (slow) => {
    const [first, second, line] = slow
    for (const reader of [first, second]) assert.deepEqual(reader?.end, { code: 1008, reason: 'client too slow' })
    assert.ok(line?.end)
    await waitUntil('their ends are counted', async () => {
      return (await metrics()).sum('polyloop_net_closed_total', { reason: 'too_slow' }) === SLOW + 1
    })
  })
})

test('topic: drop-oldest keeps the newest for who stops reading, and tells of the gap', async () => {
  await besideSlow('newest.b', async (slow, _good, page) => {
    assert.ok(droppedFor(page, 'newest', 'slow') > 0)
    assert.equal(topicBooks(page, 'newest').inFlight, QUEUE * slow.length)
    for (const reader of slow) {
      const place = placeOf(reader, 'newest.b')
      assert.deepEqual(place.gaps, ['slow'])
      assert.equal(place.behindGap, QUEUE)
      assert.equal(place.messages + place.missed, HEAVY_COUNT)
    }
    const missed = slow.reduce((sum, reader) => sum + placeOf(reader, 'newest.b').missed, 0)
    assert.equal(droppedFor(await metrics(), 'newest', 'slow'), missed)
  })
})

test('topic: conflate keeps the latest of each key for who stops reading', async () => {
  await besideSlow('latest.b', async (slow, _good, page) => {
    assert.equal(topicBooks(page, 'latest').inFlight, KEYS * slow.length)
    for (const reader of slow) {
      const place = placeOf(reader, 'latest.b')
      assert.deepEqual(place.gaps, ['conflated'])
      assert.equal(place.behindGap, KEYS)
      const last = Array.from({ length: KEYS }, (_, key) => [`k${key}`, HEAVY_COUNT - KEYS + key + 1] as const)
      assert.deepEqual(new Map([...place.keys].sort()), new Map(last))
    }
    const missed = slow.reduce((sum, reader) => sum + placeOf(reader, 'latest.b').missed, 0)
    assert.equal(droppedFor(await metrics(), 'latest', 'conflated'), missed)
  })
})

test('topic: catch-up gives who stops reading all of it from the history', async () => {
  await besideSlow('whole.b', (slow, _good, page) => {
    assert.ok(topicBooks(page, 'whole').inFlight > 0)
    for (const reader of slow) assert.equal(placeOf(reader, 'whole.b').messages, HEAVY_COUNT)
  })
})

test('topic: catch-up tells of a gap when the history has become too short', async () => {
  await besideSlow('brief.b', (slow) => {
    for (const reader of slow) {
      const place = placeOf(reader, 'brief.b')
      assert.deepEqual(place.gaps, ['history'])
      assert.equal(place.behindGap, BRIEF_HISTORY)
      assert.equal(place.messages + place.missed, HEAVY_COUNT)
    }
  })
})

for (const speaks of ['frames', 'lines', 'deflated'] as const) {
  test(`topic: who comes back goes on where it was, or is told what it missed: ${speaks}`, async () => {
    // Its id is one character.
    const topic = `known.${speaks.slice(0, 1)}`
    using publisher = await TopicCrowd.open(server, 1)
    const publish = async (count: number): Promise<void> => {
      assert.equal(await publisher.ask(`pub ${topic} ${count} 20`), `published ${count}`)
    }
    let last = 0
    let epoch = 0
    let visitors = 0
    /** Subscribes with `since`, hears what comes up to `until`, and leaves. */
    const visit = async (since: number | undefined, until: number, sinceEpoch = epoch): Promise<TopicReader> => {
      // Each time on another shard.
      const sessionOf = (): string => spread(visitors++)
      using visitor = await TopicCrowd.open(server, 1, { speaks, sessionOf })
      await visitor.subscribe(topic, since === undefined ? undefined : { epoch: sinceEpoch, offset: since })
      await waitUntil(`it has ${until}`, () => visitor.reached(topic) === until)
      assert.deepEqual(visitor.faults, [])
      const [reader] = visitor.readers
      assert.ok(reader)
      return reader
    }
    await publish(10)
    last += 10
    // The history has it, but a new subscriber begins with the next message.
    const first = await visit(undefined, last)
    epoch = placeOf(first, topic).epoch
    assert.equal(placeOf(first, topic).messages, 0)
    await publish(50)
    last += 50
    const back = await visit(10, last)
    assert.deepEqual([subscribed(back).recovered, subscribed(back).missed], [true, 0])
    assert.equal(placeOf(back, topic).messages, 50)
    await publish(50)
    last += 50
    const late = await visit(10, last)
    assert.deepEqual([subscribed(late).recovered, subscribed(late).missed, subscribed(late).offset], [false, 50, 60])
    assert.equal(placeOf(late, topic).messages, 50)
    const level = await visit(last, last)
    assert.deepEqual([subscribed(level).recovered, subscribed(level).missed], [true, 0])
    const foreign = await visit(10, last, epoch - 1)
    assert.deepEqual([subscribed(foreign).recovered, subscribed(foreign).missed], [false, undefined])
    assert.equal(subscribed(foreign).epoch, epoch)
  })
}

test('topic: presence knows subscribers of every shard, and who has left', async () => {
  const topic = 'known.who'
  const who = async (crowd: TopicCrowd, index: number): Promise<string[]> => {
    const { count, members } = JSON.parse(await crowd.ask(`who ${topic}`, index)) as {
      count: number
      members: string[]
    }
    assert.equal(count, members.length)
    return members.sort()
  }
  const sessionsOf = (from: number, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `topical:${spread(from + index)}`)
  using staying = await TopicCrowd.open(server, 8, { sessionOf: spread })
  const leaving = await TopicCrowd.open(server, 6, { sessionOf: (index) => spread(index + 8) })
  await Promise.all([staying.subscribe(topic), leaving.subscribe(topic)])
  const everyone = [...sessionsOf(0, 8), ...sessionsOf(8, 6)].sort()
  for (let shard = 0; shard < SHARDS; shard++)
    await waitUntil('all are there', async () => (await who(staying, shard)).length === everyone.length)
  assert.deepEqual(await who(staying, 0), everyone)
  leaving.destroy()
  await waitUntil('they have left', async () => (await who(staying, 1)).length === 8)
  assert.deepEqual(await who(staying, 2), sessionsOf(0, 8).sort())
})

test('topic: a name that is none is refused, in words', async () => {
  using crowd = await TopicCrowd.open(server, 1)
  assert.match(await crowd.ask('sub nokind'), /^failed /)
  assert.match(await crowd.ask('pub nokind 1 1'), /^failed /)
  assert.throws(() => runtime.publish('nokind', 'x'), { code: 'TOPIC_NAME_INVALID' })
})
