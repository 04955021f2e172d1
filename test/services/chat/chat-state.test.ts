// What a chat holds of its shard's memory is free when it leaves, whichever way.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ActorContext } from '../../../src/actor/context.ts'
import { chatActor } from '../../../src/services/chat/chat-actor.ts'
import { ChatShelf, ChatState } from '../../../src/services/chat/chat-state.ts'
import { MESSAGE_OVERHEAD_BYTES } from '../../../src/services/chat/message-cache.ts'
import type { StoredMessage } from '../../../src/store/store.ts'
import { CONFIG } from './actor-world.ts'

const MESSAGE: StoredMessage = {
  id: 1,
  sequence: 1,
  chatId: 1,
  senderId: 1,
  content: 'x',
  type: 'Text',
  createdAt: 0,
}
const RECENT = { total: 1, messages: [MESSAGE] }
const BYTES = MESSAGE_OVERHEAD_BYTES + 2
const TYPIST = { isTyping: true, pushedAtMs: 0 }
// Nothing of it is used here.
const NOBODY = {} as ActorContext

function opened(shelf: ChatShelf): ChatState {
  const chat = new ChatState(shelf, '1')
  chat.open(RECENT)
  chat.thaw({ typists: [{ userId: 1, isTyping: true, pushedAtMs: 0, deadlineMs: 5_000 }], toldTotal: undefined })
  return chat
}

test('chat: what is frozen or released holds nothing of the shard', () => {
  for (const leave of ['freeze', 'release'] as const) {
    const shelf = new ChatShelf(CONFIG)
    const chat = opened(shelf)
    assert.deepEqual([shelf.caches.bytes, shelf.typists.size], [BYTES, 1])
    chat[leave]()
    assert.deepEqual([shelf.caches.bytes, shelf.typists.size], [0, 0])
  }
})

test('chat: one that failed and begins anew takes the place of its first life', () => {
  const shelf = new ChatShelf(CONFIG)
  opened(shelf)
  opened(shelf)
  assert.equal(shelf.caches.bytes, BYTES)
  shelf.typists.expire(5_000)
  assert.equal(shelf.typists.size, 0)
})

test('chat: its actor lets go of everything when it is passivated', async () => {
  const definition = chatActor(CONFIG)
  const chat = await definition.create('1', NOBODY)
  chat.open(RECENT)
  assert.equal(chat.cache.bytes, BYTES)
  await definition.passivated?.(chat, NOBODY)
  assert.equal(chat.cache.bytes, 0)
})

test('chat: to arrive with many who type takes no longer for each of them, also where others type', () => {
  const COUNT = 20_000
  // Renewed in another order than they came.
  const shuffled = Array.from({ length: COUNT }, (_, index) => (index * 7_919) % COUNT)
  const shelf = new ChatShelf(CONFIG)
  const chats = ['1', '2'].map((id) => new ChatState(shelf, id))
  for (const chat of chats) for (let userId = 0; userId < COUNT; userId++) chat.typists.set(userId, TYPIST, userId)
  for (const [later, userId] of shuffled.entries())
    for (const chat of chats) chat.typists.set(userId, TYPIST, COUNT + later)
  const startMs = performance.now()
  const [arriving, other] = chats as [ChatState, ChatState]
  const frozen = arriving.freeze()
  const arrived = new ChatState(shelf, '1')
  arrived.thaw(frozen)
  // In order it takes 80 ms; with a search for each it took 50 s.
  assert.ok(performance.now() - startMs < 2_000)
  assert.deepEqual([arrived.typists.size, other.typists.size, shelf.typists.size], [COUNT, COUNT, 2 * COUNT])
  const deadlines = Array.from({ length: 2 * COUNT }, () => shelf.typists.shift()?.deadlineMs ?? 0)
  assert.ok(deadlines.every((deadlineMs, index) => index === 0 || deadlineMs >= (deadlines[index - 1] ?? 0)))
})
