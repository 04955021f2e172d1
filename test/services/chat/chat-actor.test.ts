// What the actor of a chat answers and tells its subscribers, with the store in memory.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PageResult, SendArgument, SendResult } from '../../../src/services/chat/chat-actor.ts'
import { STORE_CALLS_MAX } from '../../../src/services/chat/store-calls.ts'
import { ActorWorld, LATE_MS, STORE_TIMEOUT_MS } from './actor-world.ts'

const FOREIGN_KEY = 'Ошибка БД: FOREIGN KEY constraint failed'
const UNKNOWN = 'Чат не найден'

function text(content: string, senderId = 1): SendArgument {
  return { senderId, content, type: 'Text' }
}

function contentsOf(result: PageResult): string[] {
  assert.ok(result.ok)
  return result.messages.map(({ content }) => content)
}

function idOf(result: SendResult): number {
  assert.ok(result.ok)
  return result.id
}

function messageLine(id: number, content: string, senderId = 1): string {
  return `chat-feed.1 {"packet_type":"Message","chat_id":1,"message":{"id":${id},"chat_id":1,"sender_id":${senderId},"content":"${content}","message_type":"Text","created_at":"2026-01-01 00:00:00","is_edited":false,"edited_at":null}}\n`
}

function typingLine(userId: number): string {
  return `chat-feed.1 {"packet_type":"Typing","chat_id":1,"user_id":${userId},"expires_in":5}\n`
}

async function sendAll(world: ActorWorld, contents: readonly string[], chatId = 1): Promise<number[]> {
  const asked = contents.map((content) => world.chat(chatId).ask('send', text(content)))
  return (await world.answerOf(Promise.all(asked))).map(idOf)
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `m${index + 1}`)
}

test('chat: messages are answered in order, pushed as lines, and a page has them at once', async () => {
  const world = new ActorWorld()
  assert.deepEqual(await sendAll(world, ['a', 'b', 'c']), [1, 2, 3])
  assert.deepEqual(world.published, [messageLine(1, 'a'), messageLine(2, 'b'), messageLine(3, 'c')])
  assert.deepEqual(world.takeCalled(), ['recentMessages', 'addMessage', 'addMessage', 'addMessage'])
  const page = await world.answerOf(world.chat(1).ask('page', { page: 1, perPage: 50 }))
  assert.deepEqual(contentsOf(page), ['a', 'b', 'c'])
  assert.equal(page.ok && page.total, 3)
  assert.deepEqual(world.takeCalled(), [])
})

test('chat: messages that are sent while others wait for their commit share it', async () => {
  const world = new ActorWorld()
  await sendAll(world, ['first'])
  world.isHeld = true
  const asked = numbered(100).map((content) => world.chat(1).ask('send', text(content)))
  await world.run()
  assert.equal(world.called.length, 102)
  // One that reads meanwhile is not held up, and does not see what is not committed.
  const early = await world.answerOf(world.chat(1).ask('page', { page: 1, perPage: 200 }))
  assert.deepEqual(contentsOf(early), ['first'])
  world.isHeld = false
  const ids = (await world.answerOf(Promise.all(asked))).map(idOf)
  assert.deepEqual(
    ids,
    ids.map((_, index) => index + 2),
  )
  const late = await world.answerOf(world.chat(1).ask('page', { page: 1, perPage: 200 }))
  assert.deepEqual(contentsOf(late), ['first', ...numbered(100)])
})

test('chat: pages are slices from the oldest on, and past the end there is nothing', async () => {
  const world = new ActorWorld()
  await sendAll(world, numbered(5))
  const pageOf = async (page: number, perPage: number): Promise<string[]> =>
    contentsOf(await world.answerOf(world.chat(1).ask('page', { page, perPage })))
  assert.deepEqual(await pageOf(2, 2), ['m3', 'm4'])
  assert.deepEqual(await pageOf(3, 2), ['m5'])
  assert.deepEqual(await pageOf(4, 2), [])
  assert.deepEqual(await pageOf(1, 5), numbered(5))
  assert.deepEqual(await pageOf(2, 5), [])
  assert.deepEqual(await pageOf(Number.MAX_SAFE_INTEGER, 200), [])
})

test('chat: what the cache has lost is read from the store by its sequence, whatever is asked', async () => {
  // Some twenty messages fit.
  const world = new ActorWorld({ config: { cacheBytes: 4_096 } })
  const contents = numbered(100)
  await sendAll(world, contents)
  world.takeCalled()
  for (const perPage of [1, 7, 10, 30, 99, 100, 200]) {
    for (let page = 1; page <= Math.ceil(100 / perPage); page++) {
      const result = await world.answerOf(world.chat(1).ask('page', { page, perPage }))
      assert.deepEqual(contentsOf(result), contents.slice((page - 1) * perPage, page * perPage))
    }
  }
  assert.deepEqual(new Set(world.takeCalled()), new Set(['messages']))
  await world.answerOf(world.chat(1).ask('page', { page: 100, perPage: 1 }))
  assert.deepEqual(world.takeCalled(), [])
})

test('chat: a chat that lost its cache to others fills it again when it is read', async () => {
  const world = new ActorWorld({ config: { cacheBytesTotal: 65_536, cacheBytes: 65_536 } })
  for (let chatId = 2; chatId <= 3; chatId++)
    world.engine.createChat({ name: `c${chatId}`, type: 'group', creatorId: 1, participants: [] })
  const long = Array.from({ length: 10 }, () => 'x'.repeat(2_000))
  for (const chatId of [1, 2]) await sendAll(world, long, chatId)
  const page = { page: 1, perPage: 10 }
  const calls = async (chatId: number): Promise<string[]> => {
    world.takeCalled()
    assert.deepEqual(contentsOf(await world.answerOf(world.chat(chatId).ask('page', page))), long)
    return world.takeCalled()
  }
  // Ten messages take 41 KB: two chats are more than fit, and the one that was read longest ago has none.
  assert.deepEqual(await calls(2), [])
  assert.deepEqual(await calls(1), ['messages'])
  assert.deepEqual(await calls(1), [])
  assert.deepEqual(await calls(2), ['messages'])
  assert.deepEqual(await calls(2), [])
})

test('chat: one that is unknown is told so, is not kept, and is found as soon as it is made', async () => {
  const world = new ActorWorld()
  for (const id of [2, '0', '-1', '01', '1.5', 'x', '9007199254740993']) {
    const chat = world.chat(id)
    const unknown = { ok: false, chatUnknown: true, text: UNKNOWN }
    assert.deepEqual(await world.answerOf(chat.ask('send', text('a'))), { ...unknown, text: FOREIGN_KEY })
    assert.deepEqual(await world.answerOf(chat.ask('look')), unknown)
    assert.deepEqual(await world.answerOf(chat.ask('typing', { userId: 1 })), unknown)
    assert.deepEqual(await world.answerOf(chat.ask('typists')), unknown)
    const empty = { ok: true, total: 0, messages: [] }
    assert.deepEqual(await world.answerOf(chat.ask('page', { page: 1, perPage: 1 })), empty)
    assert.equal(world.active, 0)
  }
  // Only what could be one was looked up.
  assert.deepEqual(world.takeCalled(), Array(5).fill('recentMessages'))
  assert.deepEqual(world.published, [])
  // The second one comes before the chat is made, but is looked at behind it: it is not told what the first one was.
  const [first, second] = [world.chat(2).ask('look'), world.chat(2).ask('look')]
  void first.then(() => world.engine.createChat({ name: 'new', type: 'group', creatorId: 1, participants: [] }))
  assert.deepEqual(await world.answerOf(second), { ok: true })
  assert.deepEqual(await first, { ok: false, chatUnknown: true, text: UNKNOWN })
})

test('chat: an unknown sender is refused, or made when that is wanted', async () => {
  const strict = new ActorWorld()
  const refused = { ok: false, chatUnknown: false, text: FOREIGN_KEY }
  assert.deepEqual(await strict.answerOf(strict.chat(1).ask('send', text('a', 7))), refused)
  assert.deepEqual(strict.published, [])
  const kind = new ActorWorld({ config: { autoCreateUsers: true } })
  assert.equal(idOf(await kind.answerOf(kind.chat(1).ask('send', text('a', 7)))), 1)
  assert.deepEqual(kind.published, [messageLine(1, 'a', 7)])
})

test('chat: when the store’s thread dies, nobody is told a lie, and subscribers get what was committed all the same', async () => {
  const world = new ActorWorld()
  await sendAll(world, ['a'])
  world.takePublished()
  world.isHeld = true
  const asked = ['b', 'c'].map((content) => world.chat(1).ask('send', text(content)))
  await world.run()
  await world.kill(true)
  const lost = { ok: false, chatUnknown: false, text: 'Ошибка БД: the thread of the store ended before it answered' }
  assert.deepEqual(await Promise.all(asked), [lost, lost])
  assert.deepEqual(world.takePublished(), [])
  world.isHeld = false
  const page = await world.answerOf(world.chat(1).ask('page', { page: 1, perPage: 50 }))
  assert.deepEqual(contentsOf(page), ['a', 'b', 'c'])
  assert.deepEqual(world.takePublished(), [messageLine(2, 'b'), messageLine(3, 'c')])
  assert.deepEqual(await sendAll(world, ['d']), [4])
  assert.deepEqual(world.takePublished(), [messageLine(4, 'd')])
})

test('chat: a store that does not answer in time is a typed text, also for a chat that is not open', async () => {
  const world = new ActorWorld()
  const late = { ok: false, chatUnknown: false, text: 'Ошибка БД: the store did not answer in time' }
  world.isHeld = true
  const unopened = world.chat(1).ask('send', text('never'))
  await world.run()
  await world.pass(STORE_TIMEOUT_MS + LATE_MS)
  assert.deepEqual(await unopened, late)
  await world.kill(false)
  world.isHeld = false
  assert.deepEqual(await sendAll(world, ['a']), [1])
  world.isHeld = true
  const asked = world.chat(1).ask('send', text('b'))
  await world.run()
  await world.pass(STORE_TIMEOUT_MS + LATE_MS)
  assert.deepEqual(await asked, late)
  // It is committed later than anybody waits for, and before the next one.
  world.isHeld = false
  world.takePublished()
  assert.deepEqual(await sendAll(world, ['c']), [3])
  assert.deepEqual(
    world.takePublished().map((line) => /"content":"(.)"/.exec(line)?.[1]),
    ['b', 'c'],
  )
  const page = await world.answerOf(world.chat(1).ask('page', { page: 1, perPage: 50 }))
  assert.deepEqual(contentsOf(page), ['a', 'b', 'c'])
})

test('chat: the way to the store is full: typed text, and the chat goes on', async () => {
  const world = new ActorWorld({ callsMax: 2 })
  await sendAll(world, ['a'])
  world.isHeld = true
  const asked = ['b', 'c', 'd'].map((content) => world.chat(1).ask('send', text(content)))
  await world.run()
  world.isHeld = false
  const results = await world.answerOf(Promise.all(asked))
  assert.deepEqual(
    results.map(({ ok }) => ok),
    [true, true, false],
  )
  assert.equal(!results[2]?.ok && results[2]?.text, 'Ошибка БД: 2 calls of this thread wait')
})

test('chat: one store call more than an actor may have open is refused at once', async () => {
  const world = new ActorWorld()
  await sendAll(world, ['a'])
  world.isHeld = true
  const asked = numbered(STORE_CALLS_MAX + 1).map((content) => world.chat(1).ask('send', text(content)))
  await world.run()
  assert.deepEqual(await asked[STORE_CALLS_MAX], {
    ok: false,
    chatUnknown: false,
    text: 'Ошибка БД: the actor is overloaded',
  })
  world.isHeld = false
  const results = await world.answerOf(Promise.all(asked))
  assert.equal(results.filter(({ ok }) => ok).length, STORE_CALLS_MAX)
})

test('chat: a push that is refused loses the line only', async () => {
  const world = new ActorWorld()
  world.isDeaf = true
  assert.deepEqual(await sendAll(world, ['a']), [1])
  world.isDeaf = false
  assert.deepEqual(await sendAll(world, ['b']), [2])
  assert.deepEqual(world.published, [messageLine(2, 'b')])
})

test('typing: is pushed once a second and user, shows until its time is over, and asks the store once', async () => {
  const world = new ActorWorld()
  world.addUsers(1)
  const chat = world.chat(1)
  const type = async (userId: number): Promise<unknown> => world.answerOf(chat.ask('typing', { userId }))
  const typists = async (): Promise<unknown> => {
    const result = await world.answerOf(chat.ask('typists'))
    return result.ok && result.typists
  }
  assert.deepEqual(await type(1), { ok: true })
  assert.deepEqual(await type(2), { ok: true })
  assert.deepEqual(await type(1), { ok: true })
  assert.deepEqual(world.takePublished(), [typingLine(1), typingLine(2)])
  await world.pass(999)
  await type(1)
  assert.deepEqual(world.takePublished(), [])
  await world.pass(1)
  await type(1)
  assert.deepEqual(world.takePublished(), [typingLine(1)])
  assert.deepEqual(world.takeCalled(), ['recentMessages', 'chatIdsOf', 'chatIdsOf'])
  await world.pass(3_000)
  assert.deepEqual(await typists(), [
    { userId: 1, expiresIn: 2 },
    { userId: 2, expiresIn: 1 },
  ])
  await world.pass(1_000)
  assert.deepEqual(await typists(), [{ userId: 1, expiresIn: 1 }])
  await world.pass(999)
  assert.deepEqual(await typists(), [{ userId: 1, expiresIn: 1 }])
  await world.pass(1)
  assert.deepEqual(await typists(), [])
  // Nobody is told that it is over.
  assert.deepEqual(world.takePublished(), [])
})

test('typing: a message ends it, and pushes stay a second apart all the same', async () => {
  const world = new ActorWorld()
  world.addUsers(1)
  const chat = world.chat(1)
  for (const userId of [1, 2]) await world.answerOf(chat.ask('typing', { userId }))
  await sendAll(world, ['a'])
  world.takePublished()
  const listed = await world.answerOf(chat.ask('typists'))
  assert.deepEqual(listed, { ok: true, typists: [{ userId: 2, expiresIn: 5 }] })
  await world.answerOf(chat.ask('typing', { userId: 1 }))
  assert.deepEqual(world.takePublished(), [])
  const again = await world.answerOf(chat.ask('typists'))
  assert.equal(again.ok && again.typists.length, 2)
  await world.pass(1_000)
  await world.answerOf(chat.ask('typing', { userId: 1 }))
  assert.deepEqual(world.takePublished(), [typingLine(1)])
})

test('typing: an unknown user is refused, and not remembered', async () => {
  const world = new ActorWorld()
  const refused = { ok: false, chatUnknown: false, text: FOREIGN_KEY }
  for (let time = 0; time < 2; time++)
    assert.deepEqual(await world.answerOf(world.chat(1).ask('typing', { userId: 9 })), refused)
  assert.deepEqual(await world.answerOf(world.chat(1).ask('typists')), { ok: true, typists: [] })
  assert.deepEqual(world.published, [])
})

test('chat: moves with who is typing, and with all that was acknowledged', async () => {
  const world = new ActorWorld()
  await sendAll(world, ['a', 'b'])
  await world.answerOf(world.chat(1).ask('typing', { userId: 1 }))
  await world.pass(2_500)
  world.isHeld = true
  const asked = world.chat(1).ask('send', text('c'))
  await world.run()
  await world.move('chat/1')
  assert.equal(world.shards.moving.length, 1)
  world.isHeld = false
  assert.equal(idOf(await world.answerOf(asked)), 3)
  assert.deepEqual(world.shards.moving, [])
  await world.answerOf(world.chat(1).ask('typing', { userId: 1 }))
  world.takeCalled()
  await world.move('chat/1')
  await world.pass(2_000)
  const listed = await world.answerOf(world.chat(1).ask('typists'))
  assert.deepEqual(listed, { ok: true, typists: [{ userId: 1, expiresIn: 3 }] })
  const page = await world.answerOf(world.chat(1).ask('page', { page: 1, perPage: 50 }))
  assert.deepEqual(contentsOf(page), ['a', 'b', 'c'])
  assert.deepEqual(world.takeCalled(), ['recentMessages'])
  await world.pass(3_000)
  assert.deepEqual(await world.answerOf(world.chat(1).ask('typists')), { ok: true, typists: [] })
})

test('chat: is forgotten when nobody asks for it, and begins where it was', async () => {
  const world = new ActorWorld()
  await sendAll(world, ['a'])
  assert.equal(world.active, 1)
  await world.pass(650_000)
  assert.equal(world.active, 0)
  world.takeCalled()
  const page = await world.answerOf(world.chat(1).ask('page', { page: 1, perPage: 50 }))
  assert.deepEqual(contentsOf(page), ['a'])
  assert.deepEqual(world.takeCalled(), ['recentMessages'])
})
