// Topics with very many subscribers, and with many messages: each subscriber gets each message in order; then some stop
// reading, get what their kind promises, and cost the others nothing but time that is measured.
import assert from 'node:assert/strict'
import type { RecordableHistogram } from 'node:perf_hooks'
import { cpuNsOf, usageOf } from '../../bench/process-usage.ts'
import { type Server, startServer } from '../harness/server.ts'
import { topicBooks } from '../harness/topic-books.ts'
import { TopicCrowd } from '../harness/topic-crowd.ts'
import { createLatency, type TopicPlace, type TopicReader } from '../harness/topic-reader.ts'
import { pause, waitUntil } from '../harness/wait.ts'
import { defineScenario, type SoakContext, type SoakFigure } from './scenario.ts'

const SHARDS = 4
const MESSAGE_BYTES = 64
const KEYS = 5
/** Fewer than the messages of any phase, so that it overflows. */
const QUEUE = 8
const SLOW = 20
/** What fills the buffers of those that do not read: another topic of the same kind, only for them. */
const BALLAST = { perSecond: 40, bytes: 32 * 1024, countMax: 2_000 } as const
const SEND_BYTES_MAX = 1024 ** 2
const LOOK_MS = 500
const DONE_MS_MAX = 60_000

interface Load {
  readonly name: string
  readonly subscribers: number
  readonly perSecond: number
  readonly seconds: number
}

/** What a kind promises to who reads on at last; `place` is where it stands in the topic everybody has. */
type Promised = (reader: TopicReader, place: TopicPlace | undefined, last: number) => void

const SLOW_MODE_OF: Readonly<Record<string, string>> = {
  cut: 'disconnect',
  newest: 'drop-oldest',
  latest: 'conflate',
  whole: 'catch-up',
}

/** In flight to each that does not read, when all of them are slow; the queues are full then. */
const WAITING_OF: Readonly<Record<string, number>> = { newest: QUEUE, latest: KEYS, whole: 4 * QUEUE }

const KINDS: Readonly<Record<string, Promised>> = {
  cut(reader) {
    assert.deepEqual(reader.end, { code: 1008, reason: 'client too slow' })
  },
  newest(_reader, place, last) {
    assert.ok(place)
    assert.deepEqual([place.offset, place.gaps, place.behindGap], [last, ['slow'], QUEUE])
  },
  latest(_reader, place, last) {
    assert.ok(place)
    assert.deepEqual([place.offset, place.gaps, place.behindGap], [last, ['conflated'], KEYS])
    const offsets = [...place.keys.values()].sort((a, b) => a - b)
    assert.deepEqual(
      offsets,
      Array.from({ length: KEYS }, (_, key) => last - KEYS + 1 + key),
    )
  },
  whole(_reader, place, last) {
    assert.ok(place)
    assert.deepEqual([place.offset, place.missed], [last, 0])
  },
}

export const topics = defineScenario({
  claim:
    '10,000 subscribers at 5 messages/s and 500 at 100/s get every message in order on 4 shards; who stops reading gets what its mode promises; the books balance.',
  limitMs: 20 * 60_000,
  async run(context) {
    const { quick } = context
    const wide = { name: 'wide', subscribers: quick ? 400 : 10_000, perSecond: 5, seconds: quick ? 3 : 10 }
    const fast = { name: 'fast', subscribers: quick ? 50 : 500, perSecond: 100, seconds: quick ? 2 : 10 }
    return [...(await underLoad(wide, context)), ...(await underLoad(fast, context))]
  },
})

async function underLoad(load: Load, { log }: SoakContext): Promise<SoakFigure[]> {
  const { name, subscribers, perSecond } = load
  await using server = await startServer({
    shards: SHARDS,
    modules: ['test/harness/topic-service.ts'],
    settings: {
      'topic.slowBytes': '64KiB',
      'topic.queue': QUEUE,
      'net.sendBuffer.max': SEND_BYTES_MAX,
      'net.sendBuffer.high': '512KiB',
      'net.closeTimeout': '2m',
      'net.backlog': 2048,
    },
  })
  const latency = createLatency()
  using control = await TopicCrowd.open(server, 1, { sessionOf: () => 'control' })
  using crowd = await TopicCrowd.open(server, subscribers, { latency })
  log(`${name}: ${subscribers} connections, ${perSecond} messages/s to each`)
  const figures: SoakFigure[] = []
  for (const [kind, promised] of Object.entries(KINDS)) {
    const topic = `${kind}.m`
    await crowd.subscribe(topic)
    const alone = await round(server, control, crowd, topic, load, latency)
    const before = topicBooks(await server.metrics(), kind)
    assert.deepEqual(before, { ...before, published: subscribers * alone.count, inFlight: 0, dropped: 0 })

    using slow = await TopicCrowd.open(server, SLOW, { sessionOf: (index) => `slow-${index}` })
    for (const { reader } of slow.members) reader.keepsKeys = true
    await slow.subscribe(topic)
    await slow.subscribe(`${kind}.z`)
    for (const member of slow.members) member.pause()
    const ballast = await clog(server, control, kind)
    const beside = await round(server, control, crowd, topic, load, latency)
    const held = topicBooks(await server.metrics(), kind)
    for (const member of slow.members) member.resume()
    const last = alone.count + beside.count
    const isDone = (reader: TopicReader): boolean =>
      reader.end !== undefined ||
      (reader.place(topic)?.offset === last && reader.place(`${kind}.z`)?.offset === ballast)
    await waitUntil('the slow ones have what they get', () => slow.readers.every(isDone), DONE_MS_MAX)
    assert.deepEqual([...slow.faults, ...crowd.faults], [])
    for (const reader of slow.readers) promised(reader, reader.place(topic), last)
    for (const reader of crowd.readers) assert.equal(reader.place(topic)?.messages, last)
    const books = topicBooks(await server.metrics(), kind)
    assert.equal(books.inFlight, 0)
    await crowd.unsubscribe(topic)
    const value = `${alone.text} alone, ${beside.text} beside ${SLOW} that do not read; ${held.inFlight} in flight to them, ${books.dropped} dropped`
    log(`${name} ${kind}: ${value}`)
    figures.push({ name: `${subscribers} at ${perSecond}/s, ${SLOW_MODE_OF[kind]}`, value })
  }
  assert.deepEqual(server.stray, [])
  return figures
}

/** Publishes at the load's rate until all have all of it. */
async function round(
  server: Server,
  control: TopicCrowd,
  crowd: TopicCrowd,
  topic: string,
  { perSecond, seconds }: Load,
  latency: RecordableHistogram,
): Promise<{ readonly count: number; readonly text: string }> {
  const count = perSecond * seconds
  const [kind = ''] = topic.split('.')
  const until = crowd.reached(topic) + count
  const usages = [server.pid, process.pid].map((pid) => [pid, usageOf([pid])] as const)
  latency.reset()
  assert.equal(await control.ask(`run ${topic} ${perSecond} ${MESSAGE_BYTES} ${KEYS} ${count}`), 'running')
  const deadlineMs = performance.now() + seconds * 1_000 + DONE_MS_MAX
  while (crowd.reached(topic) < until) {
    assert.ok(performance.now() < deadlineMs, `${topic}: some have ${crowd.reached(topic)} of ${until}`)
    // Along the way, too, each delivery is accounted for.
    topicBooks(await server.metrics(), kind)
    await pause(LOOK_MS)
  }
  const ran = JSON.parse(await control.ask(`ran ${topic}`)) as unknown
  assert.deepEqual(ran, { published: count, refused: 0 })
  const ms = (percentile: number): string => (latency.percentile(percentile) / 1_000).toFixed(1)
  // Unlike the times these mean something on a busy machine, too.
  const [serverUs = 0, clientUs = 0] = usages.map(
    ([pid, before]) => cpuNsOf(before, usageOf([pid])) / 1_000 / (count * crowd.members.length),
  )
  const text = `P50 ${ms(50)} ms, P99 ${ms(99)} ms (CPU per delivery ${serverUs.toFixed(1)} µs, of its client ${clientUs.toFixed(1)} µs)`
  return { count, text }
}

/** Publishes to those that do not read until the server has noticed each of them; answers how much. */
async function clog(server: Server, control: TopicCrowd, kind: string): Promise<number> {
  const topic = `${kind}.z`
  const { perSecond, bytes, countMax } = BALLAST
  assert.equal(await control.ask(`run ${topic} ${perSecond} ${bytes} ${KEYS} ${countMax}`), 'running')
  const least = SLOW * (WAITING_OF[kind] ?? 0)
  await waitUntil(
    `${SLOW} are slow`,
    async () => {
      const metrics = await server.metrics()
      const { inFlight } = topicBooks(metrics, kind)
      return kind === 'cut' ? metrics.sum('polyloop_net_unsent_bytes') >= SLOW * SEND_BYTES_MAX : inFlight >= least
    },
    DONE_MS_MAX,
  )
  const { published, refused } = JSON.parse(await control.ask(`stop ${topic}`)) as Record<string, number>
  assert.equal(refused, 0)
  return published ?? 0
}
