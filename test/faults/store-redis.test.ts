// What can happen to a Redis that two hosts have as their store, under the load of chat on both: nothing that was
// acknowledged is lost or there twice, clients hear documented errors meanwhile, and everything goes on by itself.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ChatCrowd } from '../harness/chat-crowd.ts'
import { ackId, ackIdOf, failure, historyOf, messagePacket } from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'

const KILLS = 2
const MEMBERS = 5
const AWAY = failure('Ошибка БД: the server of the store is away')
const LOST = failure('Ошибка БД: the server of the store was lost before it answered')
const LATE = failure('Ошибка БД: the store did not answer in time')

const stack = new AsyncDisposableStack()
let redis: RedisServer
let hosts: readonly [ChatServer, ChatServer]

before(async () => {
  // As the page of the store says: an acknowledged message is on disk.
  redis = stack.use(await startRedis({ config: ['appendonly yes', 'appendfsync always'] }))
  const settings = {
    'store.kind': 'redis',
    'bridge.redis.url': redis.url,
    'bridge.redis.backoff.max': '200ms',
    'store.timeout': '2s',
  }
  hosts = [
    stack.use(await ChatServer.start({ shards: 2, settings })),
    stack.use(await ChatServer.start({ shards: 1, settings })),
  ]
  await connected()
})

after(async () => {
  await stack.disposeAsync()
  for (const host of hosts) assert.deepEqual(host.server.stray, [])
})

async function connected(): Promise<void> {
  for (const { server } of hosts) await waitUntil('it is connected', () => server.isHealthy(), 20_000)
}

/** Members on both hosts, who send to one chat and hear it. */
async function crowdOf(chatId: number, name: string): Promise<ChatCrowd> {
  const options = { chatId, window: 2, subscribes: true, reconnects: true }
  const crowds = await Promise.all(
    hosts.map((host, index) => {
      return ChatCrowd.open(MEMBERS, { ...options, port: host.server.port('chat.tcp'), name: `${name}${index}m` })
    }),
  )
  return new ChatCrowd(crowds.flatMap(({ members }) => members))
}

test(`redis: killed ${KILLS} times under load, the store has every acked message once, and ids rise on both hosts`, async (context) => {
  const chatId = await hosts[0].addChat('killed')
  using crowd = await crowdOf(chatId, 'k')
  crowd.start()
  for (let kill = 0; kill < KILLS; kill++) {
    const acked = crowd.ackCount
    await waitUntil('the load runs', () => crowd.ackCount > acked + 5 * MEMBERS, 20_000)
    const refused = crowd.refused.length
    await redis.kill()
    await waitUntil('clients hear of it', () => crowd.refused.length > refused)
    await redis.start()
    await connected()
  }
  const acked = crowd.ackCount
  await waitUntil('it goes on', () => crowd.ackCount > acked + 5 * MEMBERS, 20_000)
  await crowd.stop()
  for (const line of new Set(crowd.refused)) assert.ok([AWAY, LOST, LATE].includes(line), line)
  for (const host of hosts) {
    using reader = await host.open()
    crowd.assertKept(await historyOf(reader, chatId))
  }
  // One that was cut off for long may have been closed, which it is told; the others heard all that was stored.
  using reader = await hosts[0].open()
  const ids = (await historyOf(reader, chatId)).map(({ id }) => id)
  const whole = crowd.members.filter(({ ends }) => ends === 0)
  context.diagnostic(
    `${crowd.ackCount} acked, ${crowd.refused.length} refused, ${ids.length} stored; ${whole.length} heard all`,
  )
  for (const { options, pushed } of whole) {
    await waitUntil(`${options.name} has heard the last`, () => pushed.at(-1)?.id === ids.at(-1))
    assert.deepEqual(
      pushed.map(({ id }) => id),
      ids,
    )
  }
})

test('redis: out of memory, nothing of a message is stored, and pages go on', async () => {
  const chatId = await hosts[0].addChat('full')
  using client = await hosts[0].open()
  using other = await hosts[1].open()
  const first = ackId(await client.ask(messagePacket('before', chatId)))
  redis.command('CONFIG', 'SET', 'maxmemory', '1mb')
  const full = "Ошибка БД: OOM command not allowed when used memory > 'maxmemory'."
  for (let count = 0; count < 3; count++) {
    assert.equal(await client.ask(messagePacket('refused', chatId)), failure(full))
  }
  assert.equal((await hosts[1].post('/api/users', { username: 'nobody' })).status, 500)
  assert.deepEqual(
    (await historyOf(other, chatId)).map(({ content }) => content),
    ['before'],
  )
  redis.command('CONFIG', 'SET', 'maxmemory', '0')
  assert.equal(ackId(await other.ask(messagePacket('after', chatId))), first + 1, 'no id was used up')
  assert.equal(await hosts[1].addUser('nobody'), await hosts[0].addUser('somebody').then((id) => id - 1))
})

test('redis: a server that became a replica refuses, and is the store again when it is the master', async () => {
  const chatId = await hosts[0].addChat('read only')
  using client = await hosts[0].open()
  ackId(await client.ask(messagePacket('before', chatId)))
  // Of nobody: it keeps what it has.
  redis.command('REPLICAOF', '127.0.0.1', 1)
  const refusals = new Set<string | undefined>()
  for (let count = 0; count < 5; count++) refusals.add(await client.ask(messagePacket('refused', chatId)))
  const readOnly = failure("Ошибка БД: READONLY You can't write against a read only replica.")
  assert.ok(refusals.delete(readOnly), String([...refusals]))
  for (const line of refusals) assert.ok([AWAY, LOST].includes(String(line)), String(line))
  redis.command('REPLICAOF', 'NO', 'ONE')
  const sent = async (): Promise<boolean> => ackIdOf(await client.ask(messagePacket('after', chatId))) !== undefined
  await waitUntil('it takes messages again', sent)
  assert.deepEqual(
    (await historyOf(client, chatId)).map(({ content }) => content),
    ['before', 'after'],
  )
})

test('redis: frozen, clients hear that it does not answer, or is away; and all goes on', async () => {
  const chatId = await hosts[0].addChat('frozen')
  using client = await hosts[0].open()
  ackId(await client.ask(messagePacket('before', chatId)))
  redis.freeze()
  assert.equal(await client.ask(messagePacket('meanwhile', chatId)), LATE)
  redis.thaw()
  await connected()
  const sent = async (): Promise<boolean> => ackIdOf(await client.ask(messagePacket('after', chatId))) !== undefined
  await waitUntil('it takes messages again', sent)
  const contents = (await historyOf(client, chatId)).map(({ content }) => content)
  // It was in the server's buffer: nobody could know.
  assert.deepEqual(contents, ['before', ...(contents.includes('meanwhile') ? ['meanwhile'] : []), 'after'])
})
