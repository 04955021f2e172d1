import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { SessionOf } from '../../../src/net/session-key.ts'
import { sessionOfDatagram, sessionOfRequest, sessionOfStream } from '../../../src/services/chat/session-key.ts'

/** `user:1`, or the state without a key. */
function keyOf(sessionOf: SessionOf, text: string | Uint8Array): string {
  // Between other bytes, which must not be looked at.
  const bytes = Buffer.concat([Buffer.from('{"user_id":99}'), Buffer.from(text), Buffer.from('{"user_id":98}')])
  const found = sessionOf(bytes, 14, bytes.length - 14, 'fresh')
  return found.state === 'key' ? found.key : found.state
}

test('session key: TCP takes the sender, the user or the chat of the first packet, in this order', () => {
  for (const [text, key] of [
    ['{"message":{"sender_id":7,"chat_id":3},"user_id":5,"chat_id":4}', 'user:7'],
    ['{"message":{"chat_id":3},"user_id":5,"chat_id":4}', 'user:5'],
    ['{"message":{"chat_id":3},"chat_id":4}', 'chat:4'],
    ['{"message":{"chat_id":3}}', 'chat:3'],
    [' \r\n{"user_id":5}{"user_id":6}', 'user:5'],
    ['{"user_id":"5","chat_id":1.5,"message":[]}', 'none'],
    ['{"user_id":9007199254740992,"chat_id":-1}', 'chat:-1'],
    ['{"packet_type":"Ping"}', 'none'],
    ['{bad}{"user_id":5}', 'none'],
    ['hello\n{"user_id":5}', 'none'],
    ['{"message":null,"user_id":null}', 'none'],
    ['', 'more'],
    [' \n', 'more'],
    ['{"user_id":5', 'more'],
    ['{"a":"}"', 'more'],
  ] as const)
    assert.equal(keyOf(sessionOfStream, text), key, text)
})

test('session key: UDP takes the user of a datagram, which has no more to come', () => {
  for (const [text, key] of [
    ['{"packet_type":"Status","user_id":1,"status_data":"online"}\n', 'user:1'],
    ['{"user_id":1', 'none'],
    ['{"chat_id":1}', 'none'],
    ['', 'none'],
  ] as const)
    assert.equal(keyOf(sessionOfDatagram, text), key, text)
})

test('session key: HTTP takes the chat of the path', () => {
  for (const [target, key] of [
    ['/api/chats/12', 'chat:12'],
    ['/api/chats/12/messages?page=1', 'chat:12'],
    ['/api/chats/%312', 'chat:12'],
    ['/api/chats', 'none'],
    ['/api/chats/0', 'none'],
    ['/api/chats/01', 'none'],
    ['/api/chats/9007199254740992', 'none'],
    ['/api/users/1', 'none'],
    ['/%', 'none'],
  ] as const)
    assert.equal(keyOf(sessionOfRequest, `GET ${target} HTTP/1.1\r\n`), key, target)
  assert.equal(keyOf(sessionOfRequest, 'GET /api/chats/1'), 'more')
})

test('session key: nothing throws, and a longer head never changes what was found', () => {
  const text = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.stringMatching(/^[{}"\\:,a-z_0-9 ]{0,100}$/).map((one) => Buffer.from(one)),
    fc.jsonValue().map((one) => Buffer.from(JSON.stringify({ user_id: one, message: one, chat_id: one }))),
  )
  fc.assert(
    fc.property(text, fc.nat(), (bytes, place) => {
      for (const sessionOf of [sessionOfStream, sessionOfRequest]) {
        const cut = place % (bytes.length + 1)
        const early = sessionOf(bytes, 0, cut)
        if (early.state !== 'more') assert.deepEqual(sessionOf(bytes, 0, bytes.length), early)
      }
      assert.notEqual(sessionOfDatagram(bytes, 0, bytes.length).state, 'more')
    }),
    { numRuns: 1_000 },
  )
})
