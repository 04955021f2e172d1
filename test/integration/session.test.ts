// Sessions over real sockets: several connections on several shards, none for a while, and moves in between.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { SlotTable } from '../../src/placement/slots.ts'
import { type Server, startServer } from '../harness/server.ts'
import { BACKLOG } from '../harness/session-service.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SHARDS = 2
const CONNECTIONS_MAX = 32
const SESSIONS_MAX = 8
const MOVED_MS_MAX = 30_000

let server: Server

before(async () => {
  server = await startServer({ shards: SHARDS, modules: ['test/harness/session-service.ts'] })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

let salt = 0

/** A connection on a shard: a key of its own, so only by chance on the shard of the player it belongs to. */
async function open(shard: number): Promise<WebSocketClient> {
  const session = sessionOn(shard, SHARDS, 'player', salt++)
  return WebSocketClient.open(server.url('players.ws', `/?session=${session}`))
}

async function attached(shard: number, name: string): Promise<WebSocketClient> {
  const client = await open(shard)
  assert.equal(await client.ask(`attach ${name}`), 'attached true')
  return client
}

/** A player who lives on a shard. */
function homeOn(shard: number): string {
  const table = SlotTable.allocate()
  table.spread(SHARDS)
  for (let index = 0; ; index++) if (table.shardOfKey(`player/p${index}`) === shard) return `p${index}`
}

interface Look {
  readonly said: number
  readonly came: number
  readonly went: number
  readonly open: number
  readonly dropped: number
}

async function look(observer: WebSocketClient, name: string): Promise<Look> {
  const [word, ...counts] = (await observer.ask(`look ${name}`))?.split(' ') ?? []
  assert.equal(word, 'look')
  const [said = 0, came = 0, went = 0, open = 0, dropped = 0] = counts.map(Number)
  return { said, came, went, open, dropped }
}

async function looks(observer: WebSocketClient, name: string, expected: Partial<Look>): Promise<void> {
  let seen: Look | undefined
  const isSo = async (): Promise<boolean> => {
    seen = await look(observer, name)
    return Object.entries(expected).every(([key, value]) => seen?.[key as keyof Look] === value)
  }
  await waitUntil(`${name} is ${JSON.stringify(expected)}`, isSo).catch((error: Error) => {
    throw new Error(`${error.message}, but ${JSON.stringify(seen)}`)
  })
}

async function heard(client: WebSocketClient, count: number): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = []
  while (texts.length < count) texts.push((await client.next())?.data.toString())
  return texts
}

async function post(path: string, body: object = {}): Promise<void> {
  const before = server.logged('runtime.move_done').length
  const headers = { 'content-type': 'application/json' }
  assert.equal((await server.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).status, 202)
  await waitUntil(`${path} is done`, () => server.logged('runtime.move_done').length > before, MOVED_MS_MAX)
}

test('session: all its connections hear it, on whatever shard, in the order it was told', async () => {
  using one = await attached(0, 'ada')
  using two = await attached(1, 'ada')
  using three = await attached(1, 'ada')
  assert.deepEqual([await one.ask('where'), await two.ask('where'), await three.ask('where')], ['at 0', 'at 1', 'at 1'])
  using observer = await open(0)
  using other = await open(1)
  await looks(observer, 'ada', { open: 3 })
  for (let count = 0; count < 10; count++) {
    assert.equal(await (count % 2 === 0 ? observer : other).ask(`say ada ${count}`), 'said true')
    // From another shard, so nothing but its arrival orders it behind the one before.
    await looks(observer, 'ada', { said: count + 1 })
  }
  const all = Array.from({ length: 10 }, (_, count) => `${count + 1} ${count}`)
  for (const client of [one, two, three]) assert.deepEqual(await heard(client, 10), all)
})

test('session: a connection that closes leaves it, and what is said meanwhile waits for the next one', async () => {
  using observer = await open(1)
  {
    using gone = await attached(0, 'bob')
    await looks(observer, 'bob', { open: 1 })
    gone.close(1000)
    await gone.closed
  }
  await looks(observer, 'bob', { open: 0, came: 1, went: 1 })
  for (let count = 1; count <= BACKLOG + 2; count++) await observer.ask(`say bob ${count}`)
  await looks(observer, 'bob', { said: BACKLOG + 2, dropped: 2 })
  using back = await open(1)
  back.send('attach bob')
  const texts = await heard(back, BACKLOG + 1)
  const kept = Array.from({ length: BACKLOG }, (_, index) => `${index + 3} ${index + 3}`)
  assert.deepEqual(
    texts.filter((text) => text !== 'attached true'),
    kept,
  )
  // Dropped from sight: there is no second copy for a second connection.
  using second = await attached(0, 'bob')
  await looks(observer, 'bob', { open: 2 })
  await observer.ask('say bob both')
  assert.deepEqual(await heard(second, 1), [`${BACKLOG + 3} both`])
  assert.deepEqual(await heard(back, 1), [`${BACKLOG + 3} both`])
  // It closes them, wherever they are.
  await observer.ask('kick bob 4500')
  assert.deepEqual([await back.closed, await second.closed], Array(2).fill({ code: 4500, reason: 'kicked' }))
  await looks(observer, 'bob', { open: 0, went: 3 })
})

test('session: without a connection it ends in time, with one it stays', async () => {
  using observer = await open(0)
  using stays = await attached(1, 'eve')
  {
    using leaves = await attached(0, 'carl')
    await observer.ask('say carl once')
    assert.deepEqual(await heard(leaves, 1), ['1 once'])
  }
  await looks(observer, 'carl', { said: 1, open: 0 })
  await observer.ask('say eve once')
  // To look at it does not keep it: only connections do.
  await looks(observer, 'carl', { said: 0, came: 0 })
  await looks(observer, 'eve', { said: 1, open: 1 })
  assert.deepEqual(await heard(stays, 1), ['1 once'])
})

test('session: lives through a reload and other numbers of shards, with its connections', async () => {
  using one = await attached(0, 'dora')
  using two = await attached(1, 'dora')
  using observer = await open(1)
  await looks(observer, 'dora', { open: 2, came: 2 })
  let said = 0
  const speak = async (): Promise<void> => {
    assert.equal(await observer.ask(`say dora ${++said}`), 'said true')
    for (const client of [one, two]) assert.deepEqual(await heard(client, 1), [`${said} ${said}`])
  }
  await speak()
  for (const [path, body] of [
    ['/api/v1/reload', {}],
    ['/api/v1/shards', { count: 3 }],
    ['/api/v1/shards', { count: 1 }],
    ['/api/v1/shards', { count: SHARDS }],
  ] as const) {
    const move = post(path, body)
    // While it moves, too.
    for (let count = 0; count < 5; count++) await speak()
    await move
    await speak()
  }
  await looks(observer, 'dora', { said, open: 2, came: 2, went: 0, dropped: 0 })
  one.close(1000)
  await looks(observer, 'dora', { open: 1, went: 1 })
  assert.deepEqual(server.logged('actor.move_failed'), [])
})

test('session: one connection too many closes the oldest; one session too many is refused', async () => {
  using observer = await open(0)
  const clients: WebSocketClient[] = []
  try {
    for (let index = 0; index <= CONNECTIONS_MAX; index++) clients.push(await attached(index % SHARDS, 'fay'))
    const [oldest, ...others] = clients
    assert.deepEqual(await oldest?.closed, { code: 1008, reason: 'too many connections' })
    await looks(observer, 'fay', { came: CONNECTIONS_MAX + 1, went: 1, open: CONNECTIONS_MAX })
    assert.ok(others.every((client) => !client.isOver))
  } finally {
    for (const client of clients) client[Symbol.dispose]()
  }
  using popular = await open(1)
  for (let index = 0; index < SESSIONS_MAX; index++)
    assert.equal(await popular.ask(`attach g${index}`), 'attached true')
  assert.equal(await popular.ask('attach g-more'), 'attached false')
})

test('session: hears of connections that died with their shard, where they were opened and where they moved to', async () => {
  // Shards as they were in the beginning: the tests above have moved slots about.
  await using server = await startServer({ shards: SHARDS, modules: ['test/harness/session-service.ts'] })
  const name = homeOn(1)
  const byShard = async (shard: number): Promise<WebSocketClient> => {
    const key = sessionOn(shard, SHARDS, 'player', salt++)
    const client = await WebSocketClient.open(server.url('players.ws', `/?session=${key}`))
    assert.equal(await client.ask('where'), `at ${shard}`)
    return client
  }
  using observer = await byShard(1)
  const victims = [await byShard(0), await byShard(0)]
  assert.equal(await victims[0]?.ask(`attach ${name}`), 'attached true')
  await server.post('/api/v1/reload')
  await waitUntil('the reload is done', () => server.logged('runtime.move_done').length > 0, MOVED_MS_MAX)
  assert.equal(await victims[1]?.ask(`attach ${name}`), 'attached true')
  await looks(observer, name, { came: 2, open: 2 })
  await server.kill(0)
  await looks(observer, name, { came: 2, went: 2, open: 0 })
  await waitUntil('shard 0 is back', () => server.isHealthy(), MOVED_MS_MAX)
  using next = await byShard(0)
  // Not before: what is said to nobody waits for RESUME_MS, which a busy machine may need for a new shard.
  assert.equal(await observer.ask(`say ${name} meanwhile`), 'said true')
  next.send(`attach ${name}`)
  assert.deepEqual(new Set(await heard(next, 2)), new Set(['attached true', '1 meanwhile']))
  for (const victim of victims) victim[Symbol.dispose]()
})
