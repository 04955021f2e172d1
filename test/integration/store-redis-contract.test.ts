// The contract of the store over a real Redis server, answered when the server has done it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { PolyloopError } from '../../src/lib/errors.ts'
import { storeContract } from '../store/contract.ts'
import type { RedisStoreSubject } from '../store/redis-store-fixture.ts'
import { startRedisStore } from '../store/redis-store-fixture.ts'

let subject: RedisStoreSubject

before(async () => {
  subject = await startRedisStore()
})

after(() => subject[Symbol.asyncDispose]())

storeContract('redis', () => subject.fresh())

test('redis: a user that may do no more than the pages of bridge and store say can do all of it', async () => {
  const rulesOf = (page: string): string[] => {
    const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
    const [, rules = ''] = /`(\+(?:publish|exists) [^`]*)`/.exec(text) ?? []
    assert.ok(rules.split(' ').length > 10, page)
    return rules.split(' ')
  }
  const keys = ['resetkeys', '~{polyloop:store}:*', '~topic:*', 'resetchannels', '&topic:*']
  const rules = [...keys, ...rulesOf('BRIDGE.md'), ...rulesOf('STORE-REDIS.md'), '+config|get']
  await using limited = await startRedisStore({ user: 'polyloop:secret' }, (server) => {
    server.command('ACL', 'SETUSER', 'polyloop', 'on', '>secret', ...rules)
  })
  const store = limited.store()
  const { id: userId } = await store.createUser({ name: 'ada' })
  const { id: chatId } = await store.createChat({ name: 'c', type: 'group', creatorId: userId, participants: [1, 9] })
  const announce = { log: 'topic:x', countMax: 9, ttlSeconds: 9, before: 'a', after: 'b', createdAt: 1_763_750_000 }
  const message = { chatId, senderId: 5, content: 'x', type: 'Text', createSender: true, announce } as const
  const sent = await store.addMessage(message)
  assert.deepEqual(await store.messages({ chatId, from: 1, count: 9 }), [sent])
  assert.deepEqual(await store.recentMessages({ chatId, count: 9 }), { total: 1, messages: [sent] })
  assert.equal((await store.chat({ chatId }))?.participants, 2)
  assert.equal((await store.chatsOf({ userId })).length, 1)
  assert.deepEqual(await store.chatIdsOf({ userId }), [chatId])
  await store.putState({ key: 'k', value: Buffer.from('v') })
  assert.deepEqual(await store.getState({ key: 'k' }), Buffer.from('v'))
  await store.removeState({ key: 'k' })
  // A topic that it may not tell: nothing is stored either.
  const elsewhere = store.addMessage({ ...message, announce: { ...announce, log: 'elsewhere' } })
  await assert.rejects(elsewhere, ({ code, details }: PolyloopError) => {
    assert.equal(code, 'STORE_FAILED')
    return /No permissions|NOPERM/.test(String(details.problem))
  })
  assert.equal((await store.recentMessages({ chatId, count: 9 }))?.total, 1)
})
