// A reload and another number of shards while topics run and some subscribers do not read: every offset comes once and
// in order, or is in a gap that was told of, also to those whose queue moved along with them.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Server, startServer } from '../harness/server.ts'
import { topicBooks } from '../harness/topic-books.ts'
import { type Speaks, TopicCrowd, type TopicMember } from '../harness/topic-crowd.ts'
import type { TopicReader } from '../harness/topic-reader.ts'
import { waitUntil } from '../harness/wait.ts'

const KINDS = ['newest', 'latest', 'whole'] as const
const READING: Readonly<Record<Speaks, number>> = { frames: 12, lines: 4, deflated: 4 }
const PER_SECOND = 200
const QUEUE = 20
const KEYS = 5
/** So much that the kernel's buffers are full long before the last. */
const BALLAST = { count: 220, bytes: 32 * 1024, perSecond: 400 } as const
const MOVED_MS_MAX = 60_000

let server: Server

before(async () => {
  server = await startServer({
    shards: 2,
    modules: ['test/harness/topic-service.ts'],
    settings: {
      'services.topical.permessageDeflate': true,
      'topic.queue': QUEUE,
      'actor.serialiseLocal': true,
    },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

async function post(path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  assert.equal((await server.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).status, 202)
}

function moves(): number {
  return server.logged('runtime.move_done').length
}

test('topic: reloads between a full queue and its reader lose nothing that is not told of', async () => {
  using control = await TopicCrowd.open(server, 1, { sessionOf: () => 'control' })
  const crowds: TopicCrowd[] = []
  const slow: TopicMember[] = []
  const good: TopicReader[] = []
  try {
    for (const kind of KINDS) {
      for (const speaks of Object.keys(READING) as Speaks[]) {
        const reading = await TopicCrowd.open(server, READING[speaks], { speaks })
        await reading.subscribe(`${kind}.m`)
        crowds.push(reading)
        good.push(...reading.readers)
        // Its ballast would be nothing.
        if (speaks === 'deflated') continue
        const idle = await TopicCrowd.open(server, 1, { speaks, sessionOf: () => `slow-${kind}` })
        await idle.subscribe(`${kind}.m`)
        await idle.subscribe(`${kind}.z`)
        crowds.push(idle)
        slow.push(...idle.members)
      }
    }
    const faults = (): string[] => crowds.flatMap((crowd) => crowd.faults)
    for (const { reader } of slow) reader.keepsKeys = true
    for (const member of slow) member.pause()
    for (const kind of KINDS) {
      const { perSecond, bytes, count } = BALLAST
      await control.ask(`run ${kind}.z ${perSecond} ${bytes} ${KEYS} ${count}`)
      await control.ask(`run ${kind}.m ${PER_SECOND} 20 ${KEYS} 1000000`)
    }
    for (const kind of KINDS) {
      const isPublished = async (): Promise<boolean> =>
        (JSON.parse(await control.ask(`ran ${kind}.z`)) as { published: number }).published === BALLAST.count
      await waitUntil(`the ballast of ${kind}`, isPublished)
    }
    // Those that do not read cannot move: they have to, later, in the middle of catching up.
    await post('/api/v1/reload', {})
    await waitUntil('everybody else has moved', async () => {
      const { migration } = (await (await server.fetch('/api/v1/runtime')).json()) as {
        migration: { moved: number; remaining: number }
      }
      return migration.moved >= good.length && migration.remaining <= slow.length
    })
    for (const member of slow) member.resume()
    await waitUntil('the reload is done', () => moves() === 1, MOVED_MS_MAX)
    await post('/api/v1/shards', { count: 3 })
    await waitUntil('the third shard is there', () => moves() === 2, MOVED_MS_MAX)
    assert.deepEqual(server.logged('runtime.rollout_failed'), [])

    const last = new Map<string, number>(KINDS.map((kind) => [`${kind}.z`, BALLAST.count]))
    for (const kind of KINDS) {
      const { published, refused } = JSON.parse(await control.ask(`stop ${kind}.m`)) as Record<string, number>
      assert.equal(refused, 0)
      last.set(`${kind}.m`, published as number)
    }
    const all = [...good, ...slow.map(({ reader }) => reader)]
    const isDone = (reader: TopicReader): boolean =>
      reader.places().every(({ topic, offset }) => offset === last.get(topic))
    await waitUntil('all have what they get', () => faults().length > 0 || all.every(isDone))
    assert.deepEqual(faults(), [])
    for (const reader of all) assert.equal(reader.end, undefined)
    for (const reader of good) for (const place of reader.places()) assert.equal(place.missed, 0)
    for (const { reader } of slow) {
      for (const place of reader.places()) {
        const [kind] = place.topic.split('.')
        const expected = kind === 'newest' ? 'slow' : 'conflated'
        if (kind === 'whole') assert.deepEqual([place.topic, place.missed], [place.topic, 0])
        else assert.ok(place.gaps.length > 0 && place.gaps.every((reason) => reason === expected), place.gaps.join())
      }
    }
    const metrics = await server.metrics()
    for (const kind of KINDS) assert.equal(topicBooks(metrics, kind).inFlight, 0)
    assert.equal(metrics.sum('polyloop_migrations_total', { result: 'failed' }), 0)
  } finally {
    for (const crowd of crowds) crowd.destroy()
  }
})
