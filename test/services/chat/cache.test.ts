// The recent messages of chats in memory: what is there is right, and never more than the bounds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MESSAGE_OVERHEAD_BYTES, MessageCaches } from '../../../src/services/chat/message-cache.ts'
import type { StoredMessage } from '../../../src/store/store.ts'

const BYTES = MESSAGE_OVERHEAD_BYTES + 2

function message(sequence: number, content = 'x'): StoredMessage {
  return { id: sequence, sequence, chatId: 1, senderId: 1, content, type: 'Text', createdAt: 0 }
}

function messages(from: number, to: number): StoredMessage[] {
  return Array.from({ length: to - from }, (_, index) => message(from + index))
}

function sequences(found: readonly StoredMessage[]): number[] {
  return found.map(({ sequence }) => sequence)
}

test('cache: is full at its bytes, and one more drops the oldest', () => {
  const caches = new MessageCaches({ cacheBytes: 3 * BYTES, cacheBytesTotal: 1_000_000 })
  const cache = caches.open('1')
  assert.deepEqual([cache.total, cache.from], [0, 1])
  for (const one of messages(1, 4)) cache.append(one)
  assert.deepEqual([cache.total, cache.from, cache.bytes], [3, 1, 3 * BYTES])
  cache.append(message(4))
  assert.deepEqual([cache.total, cache.from, caches.bytes], [4, 2, 3 * BYTES])
  assert.deepEqual(sequences(cache.read(3, 5)), [3, 4])
  assert.deepEqual(sequences(cache.read(1, 4)), [2, 3])
  // One that takes the room of all, and one that takes more than there is.
  cache.append(message(5, 'x'.repeat(MESSAGE_OVERHEAD_BYTES + 3)))
  assert.deepEqual([cache.from, cache.bytes], [5, 3 * BYTES])
  cache.append(message(6, 'x'.repeat(MESSAGE_OVERHEAD_BYTES + 4)))
  assert.deepEqual([cache.total, cache.from, cache.bytes, caches.bytes], [6, 7, 0, 0])
  cache.append(message(7))
  assert.deepEqual([cache.total, cache.from], [7, 7])
})

test('cache: behind a gap it begins anew, and what it knows it ignores', () => {
  const cache = new MessageCaches({ cacheBytes: 10_000, cacheBytesTotal: 10_000 }).open('1')
  cache.load(5, messages(3, 6))
  assert.deepEqual([cache.total, cache.from], [5, 3])
  cache.append(message(5))
  assert.deepEqual(sequences(cache.read(3, 6)), [3, 4, 5])
  cache.append(message(7))
  assert.deepEqual([cache.total, cache.from], [7, 7])
})

test('cache: older messages are put in front if they stand there, as many as fit', () => {
  const cache = new MessageCaches({ cacheBytes: 4 * BYTES, cacheBytesTotal: 1_000_000 }).open('1')
  cache.load(9, messages(9, 10))
  cache.prepend(messages(4, 8))
  assert.equal(cache.from, 9)
  cache.prepend(messages(2, 9))
  assert.equal(cache.from, 6)
  assert.deepEqual(sequences(cache.read(1, 10)), [6, 7, 8, 9])
  cache.prepend(messages(1, 6))
  assert.equal(cache.from, 6)
})

test('caches: beyond the total the chat that was read longest ago loses its own', () => {
  const caches = new MessageCaches({ cacheBytes: 4 * BYTES, cacheBytesTotal: 9 * BYTES })
  const [first, second, third] = ['1', '2', '3'].map((chat) => caches.open(chat))
  assert.ok(first && second && third)
  first.load(4, messages(1, 5))
  second.load(4, messages(1, 5))
  first.read(1, 2)
  // Writing is no reading.
  second.append(message(5))
  third.load(1, messages(1, 2))
  assert.equal(caches.bytes, 9 * BYTES)
  third.append(message(2))
  assert.deepEqual([first.bytes, second.bytes, third.bytes], [4 * BYTES, 0, 2 * BYTES])
  assert.deepEqual([second.total, second.from], [5, 6])
})

test('caches: what is released is free, also when an actor began anew without releasing', () => {
  const caches = new MessageCaches({ cacheBytes: 10_000, cacheBytesTotal: 10_000 })
  const old = caches.open('1')
  old.load(4, messages(1, 5))
  const other = caches.open('2')
  other.load(2, messages(1, 3))
  const young = caches.open('1')
  assert.deepEqual([caches.bytes, young.bytes], [2 * BYTES, 0])
  // Whoever still holds the old one fills nothing.
  old.append(message(5))
  old.prepend(messages(1, 5))
  old.load(9, messages(1, 10))
  old.release()
  young.append(message(1))
  assert.equal(caches.bytes, 3 * BYTES)
  young.release()
  other.release()
  assert.equal(caches.bytes, 0)
})

test('caches: one that takes more than all may is bounded by that', () => {
  const caches = new MessageCaches({ cacheBytes: 100 * BYTES, cacheBytesTotal: 5 * BYTES })
  const cache = caches.open('1')
  for (const one of messages(1, 51)) cache.append(one)
  assert.deepEqual([cache.from, caches.bytes], [46, 5 * BYTES])
})

test('cache: whatever happens, it holds the last messages without a gap and within its bounds', () => {
  const CHAT_BYTES = 20 * BYTES
  const TOTAL_BYTES = 45 * BYTES
  const deed = fc.record({
    kind: fc.constantFrom('append', 'append', 'append', 'burst', 'gap', 'prepend', 'read', 'load', 'reopen'),
    chat: fc.nat(3),
    size: fc.integer({ min: 0, max: 700 }),
    back: fc.nat(40),
  })
  const life = fc.property(fc.array(deed, { maxLength: 120 }), (deeds) => {
    const caches = new MessageCaches({ cacheBytes: CHAT_BYTES, cacheBytesTotal: TOTAL_BYTES })
    const open = [0, 1, 2, 3].map((chat) => caches.open(`${chat}`))
    const stored = open.map((): StoredMessage[] => [])
    for (const { kind, chat, size, back } of deeds) {
      const log = stored[chat] as StoredMessage[]
      let cache = open[chat] as (typeof open)[number]
      const store = (): StoredMessage => {
        log.push(message(log.length + 1, 'x'.repeat(size)))
        return log.at(-1) as StoredMessage
      }
      if (kind === 'append') cache.append(store())
      else if (kind === 'burst') for (let count = 0; count < 300; count++) cache.append(store())
      else if (kind === 'gap') {
        store()
        cache.append(store())
      } else if (kind === 'prepend') cache.prepend(log.slice(Math.max(0, cache.from - 1 - back), cache.from - 1))
      else if (kind === 'load') cache.load(log.length, log.slice(-back - 1))
      else if (kind === 'reopen') {
        cache = caches.open(`${chat}`)
        open[chat] = cache
        cache.load(log.length, log.slice(-1))
      } else cache.read(cache.from, cache.total + 1)
      let bytes = 0
      for (const [index, each] of open.entries()) {
        const all = (stored[index] as StoredMessage[]).slice(0, each.total)
        const kept = each.read(1, each.total + 1)
        assert.deepEqual(kept, all.slice(each.from - 1))
        assert.equal(
          each.bytes,
          kept.reduce((sum, { content }) => sum + MESSAGE_OVERHEAD_BYTES + content.length * 2, 0),
        )
        assert.ok(each.bytes <= CHAT_BYTES)
        bytes += each.bytes
      }
      assert.equal(caches.bytes, bytes)
      assert.ok(bytes <= TOTAL_BYTES)
    }
  })
  fc.assert(life, { numRuns: 100 })
})
