// Two hosts with one store on Redis, under the load of chat on both: one of them reloads, loses a shard, and loses the bridge's
// thread. What was acknowledged is stored once, everybody hears it in one order, and the other host notices nothing.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ChatCrowd } from '../harness/chat-crowd.ts'
import { type ChatMessage, historyOf } from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { startRedis } from '../harness/redis.ts'
import { cause, threadFaults } from '../harness/thread-fault.ts'
import { pause, waitUntil } from '../harness/wait.ts'

const LISTENERS = 4
/** Of each host. A topic's log keeps 256 messages: what is moved has some seconds, however busy the machine is. */
const PAUSE_MS = 20
const MOVED_MS_MAX = 60_000
/** What HTTP says to a message that was not stored, or of which nobody knows. */
const NOT_SENT = 'Ошибка при отправке сообщения'
/** The connection was of the shard that died. */
const CUT = 'cut'

const stack = new AsyncDisposableStack()
let moving: ChatServer
let steady: ChatServer
let folder: string

before(async () => {
  folder = stack.adopt(mkdtempSync(join(tmpdir(), 'polyloop-store-')), (path) => rmSync(path, { recursive: true }))
  const redis = stack.use(await startRedis())
  const settings = { 'store.kind': 'redis', 'bridge.redis.url': redis.url }
  moving = stack.use(await ChatServer.start({ shards: 2, settings, environment: threadFaults(folder) }))
  steady = stack.use(await ChatServer.start({ shards: 1, settings }))
  for (const { server } of [moving, steady]) await waitUntil('it is connected', () => server.isHealthy(), 20_000)
})

after(async () => {
  await stack.disposeAsync()
  for (const host of [moving, steady]) assert.deepEqual(host?.server.stray, [])
})

/** Sends one message after another over HTTP until it is stopped. */
class Writer {
  /** Content → id. */
  readonly acked = new Map<string, number>()
  /** What it was told instead. */
  readonly refused = new Set<string>()
  readonly #done: Promise<void>
  #isStopping = false

  constructor(host: ChatServer, chatId: number, name: string) {
    this.#done = this.#run(host, chatId, name)
  }

  stop(): Promise<void> {
    this.#isStopping = true
    return this.#done
  }

  async #run(host: ChatServer, chatId: number, name: string): Promise<void> {
    for (let index = 0; !this.#isStopping; index++) {
      const content = `${name}-${index}`
      try {
        const { status, text } = await host.post(`/api/chats/${chatId}/messages`, { content })
        const { data, message } = JSON.parse(text) as {
          readonly data: { readonly id: number } | null
          readonly message: string
        }
        if (status === 201 && data !== null) this.acked.set(content, data.id)
        else this.refused.add(message)
      } catch {
        this.refused.add(CUT)
      }
      await pause(PAUSE_MS)
    }
  }
}

interface Talk extends AsyncDisposable {
  readonly chatId: number
  readonly writers: readonly [Writer, Writer]
  readonly listeners: readonly [ChatCrowd, ChatCrowd]
}

async function startTalk(name: string): Promise<Talk> {
  const chatId = await steady.addChat(name)
  const crowdOf = (host: ChatServer): Promise<ChatCrowd> => {
    const port = host.server.port('chat.tcp')
    return ChatCrowd.open(LISTENERS, { port, chatId, name, window: 0, subscribes: true, reconnects: true })
  }
  const listeners = [await crowdOf(moving), await crowdOf(steady)] as const
  const writers = [new Writer(moving, chatId, 'one'), new Writer(steady, chatId, 'other')] as const
  const end = async (): Promise<void> => {
    for (const writer of writers) await writer.stop()
    for (const crowd of listeners) crowd[Symbol.dispose]()
  }
  return { chatId, listeners, writers, [Symbol.asyncDispose]: end }
}

/** Both hosts take messages, and everybody hears them. */
async function flows({ writers, listeners }: Talk): Promise<void> {
  for (const writer of writers) {
    const before = writer.acked.size
    await waitUntil('it takes messages', () => writer.acked.size > before + 5, 20_000)
    const id = [...writer.acked.values()].at(-1) ?? 0
    const members = listeners.flatMap(({ members }) => members)
    const hears = (): boolean => members.every(({ pushed }) => (pushed.at(-1)?.id ?? 0) >= id)
    await waitUntil('everybody hears them', hears, 20_000)
  }
}

/** Ends the load. All of it is stored, and the same on both hosts. Answers the ids. */
async function stopped({ chatId, writers }: Talk): Promise<number[]> {
  for (const writer of writers) await writer.stop()
  const histories: ChatMessage[][] = []
  for (const host of [moving, steady]) {
    using reader = await host.open()
    histories.push(await historyOf(reader, chatId))
  }
  const [history = [], other] = histories
  assert.deepEqual(history, other)
  const ids = new Map(history.map(({ content, id }) => [content, id]))
  assert.equal(ids.size, history.length, 'nothing is there twice')
  for (const { acked } of writers)
    for (const [content, id] of acked) assert.equal(ids.get(content), id, `${content} was acked as ${id}`)
  return history.map(({ id }) => id)
}

async function heardAll({ members }: ChatCrowd, ids: readonly number[]): Promise<void> {
  for (const { options, ends, faults, pushed } of members) {
    assert.deepEqual([ends, faults], [0, []])
    await waitUntil(`${options.name} has heard the last`, () => pushed.at(-1)?.id === ids.at(-1))
    assert.deepEqual(
      pushed.map(({ id }) => id),
      ids,
    )
  }
}

test('hosts: one reloads; nobody on either is disconnected, refused, or misses a push', async () => {
  await using talk = await startTalk('reload')
  await flows(talk)
  assert.equal((await moving.server.post('/api/v1/reload')).status, 202)
  await waitUntil('it has moved', () => moving.server.logged('runtime.move_done').length === 1, MOVED_MS_MAX)
  await flows(talk)
  const ids = await stopped(talk)
  for (const crowd of talk.listeners) await heardAll(crowd, ids)
  for (const { refused } of talk.writers) assert.deepEqual([...refused], [])
})

test('hosts: one loses a shard, then the thread of its bridge; its clients hear documented errors, and all goes on', async () => {
  await using talk = await startTalk('crash')
  await flows(talk)
  await moving.server.kill(0)
  await moving.server.recovered(0, 1)
  await flows(talk)
  cause(folder, 'bridge', 'kill')
  const restarts = async (): Promise<number> =>
    (await moving.server.metrics()).sum('polyloop_shard_restarts_total', { shard: 'bridge' })
  await waitUntil('the bridge has a successor', async () => (await restarts()) === 1)
  await waitUntil('it is healthy again', () => moving.server.isHealthy(), 20_000)
  await flows(talk)
  const ids = await stopped(talk)
  const [disturbed, undisturbed] = talk.listeners
  await heardAll(undisturbed, ids)
  // Theirs may have been interrupted, which they were told; what they heard was in order all the same.
  assert.deepEqual(disturbed.faults, [])
  const [one, other] = talk.writers
  for (const text of one.refused) assert.ok(text === NOT_SENT || text === CUT, text)
  assert.deepEqual([...other.refused], [])
})
