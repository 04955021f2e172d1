// What every store promises, however it is reached: one suite, run for each.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ManualClock } from '../../src/lib/clock.ts'
import { type ErrorCode, PolyloopError } from '../../src/lib/errors.ts'
import {
  KEY_BYTES_MAX,
  LISTED_BYTES_MAX,
  LISTED_MAX,
  STATE_BYTES_MAX,
  type Store,
  type StoredMessage,
} from '../../src/store/store.ts'

/** A fresh store. */
export interface Subject extends AsyncDisposable {
  readonly store: Store
  readonly clock: ManualClock
}

const FOREIGN_KEY = 'FOREIGN KEY constraint failed'

async function fails(answer: Promise<unknown>, code: ErrorCode, problem?: string): Promise<void> {
  await assert.rejects(answer, (error) => {
    assert.ok(error instanceof PolyloopError)
    assert.equal(error.code, code)
    assert.equal(typeof error.details.problem, 'string')
    if (problem !== undefined) assert.equal(error.details.problem, problem)
    return true
  })
}

function send(store: Store, content: string, chatId = 1, senderId = 1, createSender = false): Promise<StoredMessage> {
  return store.addMessage({ chatId, senderId, content, type: 'Text', createSender })
}

function chatOf(store: Store, creatorId = 1, participants: readonly number[] = []): Promise<{ id: number }> {
  return store.createChat({ name: 'a chat', type: 'group', creatorId, participants })
}

export function storeContract(name: string, open: () => Subject): void {
  const check = (title: string, body: (subject: Subject) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      await using subject = open()
      await body(subject)
    })
  }

  check('a fresh one holds user 1 and chat 1, and no message', async ({ store, clock }) => {
    const now = Math.floor(clock.wallMs() / 1_000)
    const general = {
      id: 1,
      name: 'General',
      type: 'group',
      creatorId: 1,
      createdAt: now,
      updatedAt: now,
      participants: 1,
      lastMessage: null,
    }
    assert.deepEqual(await store.chat({ chatId: 1 }), general)
    assert.deepEqual(await store.chatsOf({ userId: 1 }), [general])
    assert.deepEqual(await store.chatIdsOf({ userId: 1 }), [1])
    assert.deepEqual(await store.recentMessages({ chatId: 1, count: 10 }), { total: 0, messages: [] })
    assert.equal(await store.chat({ chatId: 2 }), undefined)
    assert.equal(await store.chatIdsOf({ userId: 2 }), undefined)
    assert.deepEqual(await store.chatsOf({ userId: 2 }), [])
  })

  check('ids rise over all chats, sequences in each', async ({ store, clock }) => {
    const { id: other } = await chatOf(store)
    clock.advance(61_999)
    const createdAt = Math.floor(clock.wallMs() / 1_000)
    const sent = [await send(store, 'a'), await send(store, 'b', other), await send(store, 'c')]
    assert.deepEqual(
      sent.map(({ id, sequence, chatId }) => [id, sequence, chatId]),
      [
        [1, 1, 1],
        [2, 1, other],
        [3, 2, 1],
      ],
    )
    assert.deepEqual(sent[1], {
      id: 2,
      sequence: 1,
      chatId: other,
      senderId: 1,
      content: 'b',
      type: 'Text',
      createdAt,
    })
    assert.deepEqual(await store.messages({ chatId: 1, from: 1, count: 9 }), [sent[0], sent[2]])
  })

  check('what was asked for at once is done in that order', async ({ store }) => {
    const sent = await Promise.all(Array.from({ length: 700 }, (_, index) => send(store, `m${index}`)))
    assert.deepEqual(
      sent.map(({ id, sequence, content }) => [id, sequence, content]),
      sent.map((_, index) => [index + 1, index + 1, `m${index}`]),
    )
    const first = send(store, 'before')
    const read = store.recentMessages({ chatId: 1, count: 1 })
    const second = send(store, 'after')
    assert.deepEqual(await read, { total: 701, messages: [await first] })
    assert.equal((await second).sequence, 702)
  })

  check('contents come back as they were, every kind of text', async ({ store }) => {
    const contents = ['', ' ', 'a\0b\0', '\u{1F600}', "'; DROP TABLE messages; --", '\uFEFFx', 'ж'.repeat(2_000), '\n']
    for (const type of ['Text', 'Image', 'File', 'System'] as const) {
      for (const content of contents) {
        const sent = await store.addMessage({ chatId: 1, senderId: 1, content, type, createSender: false })
        assert.equal(sent.content, content)
        assert.deepEqual((await store.chat({ chatId: 1 }))?.lastMessage, sent)
      }
    }
    // Longer than what chat takes.
    for (const content of ['x'.repeat(50_000), 'ж'.repeat(5_461)]) {
      const sent = await send(store, content)
      assert.equal(sent.content, content)
      assert.deepEqual((await store.chat({ chatId: 1 }))?.lastMessage, sent)
    }
    // Half a character has no bytes, so something else is stored; the answer says what.
    const odd = await send(store, 'x\uD800y')
    assert.match(odd.content, /^x\uFFFD+y$/)
    assert.deepEqual((await store.chat({ chatId: 1 }))?.lastMessage, odd)
  })

  check('an unknown chat or sender is refused, and nothing is stored', async ({ store }) => {
    for (const chatId of [2, 0, -1, 1.5, 2 ** 53]) {
      await fails(send(store, 'x', chatId), 'STORE_CONSTRAINT', FOREIGN_KEY)
      await fails(send(store, 'x', chatId, 7, true), 'STORE_CONSTRAINT', FOREIGN_KEY)
    }
    await fails(send(store, 'x', 1, 2), 'STORE_CONSTRAINT', FOREIGN_KEY)
    for (const senderId of [0, -1, 1.5, 2 ** 53]) {
      await fails(send(store, 'x', 1, senderId, true), 'STORE_CONSTRAINT')
    }
    assert.equal(await store.chatIdsOf({ userId: 7 }), undefined, 'no sender for a chat that is not there')
    assert.deepEqual(await store.recentMessages({ chatId: 1, count: 1 }), { total: 0, messages: [] })
    assert.equal((await send(store, 'x')).id, 1, 'no id was used up')
  })

  check('an unknown sender is created where that is wanted', async ({ store }) => {
    assert.equal((await send(store, 'x', 1, Number.MAX_SAFE_INTEGER, true)).senderId, Number.MAX_SAFE_INTEGER)
    assert.equal((await send(store, 'x', 1, 3, true)).sequence, 2)
    assert.equal((await send(store, 'x', 1, 3)).sequence, 3)
    assert.deepEqual(await store.chatIdsOf({ userId: 3 }), [])
    await fails(store.createUser({ name: 'user-3' }), 'STORE_CONSTRAINT')
    assert.deepEqual(await store.createUser({ name: 'user-5' }), { id: 2 })
    await fails(send(store, 'x', 1, 5, true), 'STORE_CONSTRAINT', 'UNIQUE constraint failed: users.name')
    assert.equal(await store.chatIdsOf({ userId: 5 }), undefined)
    assert.equal((await send(store, 'x')).id, 4)
  })

  check('users get the first free id; a name is there once', async ({ store }) => {
    assert.deepEqual(await store.createUser({ name: 'ada' }), { id: 2 })
    await fails(store.createUser({ name: 'ada' }), 'STORE_CONSTRAINT', 'UNIQUE constraint failed: users.name')
    await send(store, 'x', 1, 3, true)
    await send(store, 'x', 1, 5, true)
    assert.deepEqual(await store.createUser({ name: 'bob' }), { id: 4 })
    assert.deepEqual(await store.createUser({ name: 'Ada' }), { id: 6 })
  })

  check('messages are ranges', async ({ store }) => {
    const sent: StoredMessage[] = []
    for (let index = 0; index < 5; index++) sent.push(await send(store, `m${index}`))
    const range = (from: number, count: number): Promise<readonly StoredMessage[]> =>
      store.messages({ chatId: 1, from, count })
    assert.deepEqual(await range(1, 5), sent)
    assert.deepEqual(await range(1, 6), sent)
    assert.deepEqual(await range(2, 2), sent.slice(1, 3))
    assert.deepEqual(await range(5, 1), sent.slice(4))
    assert.deepEqual(await range(0, 2), sent.slice(0, 1))
    assert.deepEqual(await range(-3, 5), sent.slice(0, 1))
    for (const [from, count] of [
      [1, 0],
      [6, 10],
      [-3, 2],
      [3, -1],
    ] as const) {
      assert.deepEqual(await range(from, count), [])
    }
    assert.deepEqual(await store.messages({ chatId: 9, from: 1, count: 10 }), [])
  })

  check('recent messages are the last ones, oldest first', async ({ store }) => {
    const sent: StoredMessage[] = []
    for (let index = 0; index < 4; index++) sent.push(await send(store, `m${index}`))
    assert.deepEqual(await store.recentMessages({ chatId: 1, count: 4 }), { total: 4, messages: sent })
    assert.deepEqual(await store.recentMessages({ chatId: 1, count: 5 }), { total: 4, messages: sent })
    assert.deepEqual(await store.recentMessages({ chatId: 1, count: 1 }), { total: 4, messages: sent.slice(3) })
    assert.deepEqual(await store.recentMessages({ chatId: 1, count: 0 }), { total: 4, messages: [] })
    assert.equal(await store.recentMessages({ chatId: 2, count: 1 }), undefined)
  })

  check('a chat counts who is there once; who does not exist is skipped', async ({ store }) => {
    await store.createUser({ name: 'ada' })
    await store.createUser({ name: 'bob' })
    const participants = [3, 2, 3, 1, 99, 98, 99, 0]
    const created = await store.createChat({ name: 'ж', type: 'channel', creatorId: 2, participants })
    assert.deepEqual(created, { id: 2, skipped: [99, 98, 0] })
    const chat = await store.chat({ chatId: 2 })
    assert.deepEqual([chat?.name, chat?.type, chat?.creatorId, chat?.participants], ['ж', 'channel', 2, 3])
    for (const userId of [2, 3]) assert.deepEqual(await store.chatIdsOf({ userId }), [2])
    assert.deepEqual(await store.chatIdsOf({ userId: 1 }), [1, 2])
    await fails(chatOf(store, 99), 'STORE_CONSTRAINT', FOREIGN_KEY)
    assert.deepEqual(await store.createChat({ name: '', type: 'direct', creatorId: 1, participants: [] }), {
      id: 3,
      skipped: [],
    })
  })

  check('chats are listed by their last change, then their id', async ({ store, clock }) => {
    for (let index = 0; index < 3; index++) await chatOf(store)
    clock.advance(5_000)
    await send(store, 'x', 2)
    await send(store, 'y', 3)
    const idsOf = async (): Promise<number[]> => (await store.chatsOf({ userId: 1 })).map(({ id }) => id)
    assert.deepEqual(await idsOf(), [3, 2, 4, 1])
    clock.advance(1_000)
    const last = await send(store, 'z', 1)
    assert.deepEqual(await idsOf(), [1, 3, 2, 4])
    const [first] = await store.chatsOf({ userId: 1 })
    assert.deepEqual([first?.lastMessage, first?.updatedAt], [last, last.createdAt])
  })

  check('a list of chats ends at a thousand, and before it is too long to send', async ({ store, clock }) => {
    await Promise.all(Array.from({ length: LISTED_MAX }, () => chatOf(store)))
    const ids = await store.chatIdsOf({ userId: 1 })
    assert.deepEqual([ids?.length, ids?.[0], ids?.at(-1)], [LISTED_MAX, 1, LISTED_MAX])
    const all = await store.chatsOf({ userId: 1 })
    assert.deepEqual([all.length, all[0]?.id, all.at(-1)?.id], [LISTED_MAX, LISTED_MAX + 1, 2])
    clock.advance(1_000)
    const content = 'x'.repeat(4_000)
    await Promise.all(Array.from({ length: 300 }, (_, index) => send(store, content, 10 + index)))
    const listed = await store.chatsOf({ userId: 1 })
    const bytes = listed.length * (4_000 + 'a chat'.length)
    assert.ok(bytes <= LISTED_BYTES_MAX && bytes + 4_006 > LISTED_BYTES_MAX, `${listed.length} chats`)
    assert.equal(listed[0]?.id, 309)
  })

  check('state is kept byte by byte until it is replaced or removed', async ({ store }) => {
    const key = 'counter/1'
    assert.equal(await store.getState({ key }), undefined)
    const value = Uint8Array.from({ length: 256 }, (_, index) => index)
    await store.putState({ key, value })
    const original = Buffer.from(value)
    value.fill(7)
    const kept = await store.getState({ key })
    assert.ok(kept instanceof Uint8Array && original.equals(kept))
    kept.fill(9)
    assert.ok(original.equals((await store.getState({ key })) ?? Buffer.alloc(0)), 'nobody holds its bytes')
    await store.putState({ key, value: new Uint8Array(0) })
    assert.equal((await store.getState({ key }))?.byteLength, 0)
    assert.equal(await store.removeState({ key }), undefined)
    assert.equal(await store.getState({ key }), undefined)
    assert.equal(await store.removeState({ key }), undefined)
  })

  check('state at its bounds is kept, one byte more is refused', async ({ store }) => {
    const key = 'ж'.repeat(KEY_BYTES_MAX / 2)
    const value = new Uint8Array(STATE_BYTES_MAX).fill(0xff)
    await store.putState({ key, value })
    assert.equal(Buffer.compare((await store.getState({ key })) ?? Buffer.alloc(0), value), 0)
    await fails(store.putState({ key: `${key}x`, value: new Uint8Array(1) }), 'STORE_CONSTRAINT')
    await fails(store.putState({ key, value: new Uint8Array(STATE_BYTES_MAX + 1) }), 'STORE_CONSTRAINT')
    assert.equal(await store.getState({ key: `${key}x` }), undefined)
  })
}
