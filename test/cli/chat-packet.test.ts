import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messageLine, parsePacket, printable, pushLine } from '../../src/cli/chat-packet.ts'

const MESSAGE = {
  id: 124,
  chat_id: 1,
  sender_id: 2,
  content: 'Привіт',
  message_type: 'Text',
  created_at: '2026-01-02 03:04:06',
  is_edited: false,
  edited_at: null,
}

test('chat packet: objects only', () => {
  assert.deepEqual(parsePacket('{"a":1}'), { a: 1 })
  for (const other of ['', '{', '"pong"', '1', 'null', '[1]']) assert.equal(parsePacket(other), undefined, other)
})

test('chat packet: what others wrote cannot speak to the terminal', () => {
  assert.equal(printable('Привіт 👋 "x"'), 'Привіт 👋 "x"')
  assert.equal(printable('\u001b[2Ja\nb\u009bc\u2028'), '\\u001b[2Ja\\u000ab\\u009bc\\u2028')
  const hostile = { ...MESSAGE, content: '\u001b]0;x\u0007', message_type: '\r' }
  assert.equal(messageLine(hostile), '#124 2026-01-02 03:04:06 user 2 [\\u000d]: \\u001b]0;x\\u0007')
})

test('chat packet: messages and pushes as people read them', () => {
  assert.equal(messageLine(MESSAGE), '#124 2026-01-02 03:04:06 user 2: Привіт')
  assert.equal(messageLine({ ...MESSAGE, message_type: 'File' }), '#124 2026-01-02 03:04:06 user 2 [File]: Привіт')
  assert.equal(messageLine('x'), '"x"')
  assert.equal(
    pushLine(JSON.stringify({ packet_type: 'Message', chat_id: 1, message: MESSAGE })),
    '#124 2026-01-02 03:04:06 user 2: Привіт',
  )
  assert.equal(
    pushLine('{"packet_type":"Typing","chat_id":1,"user_id":2,"expires_in":5}'),
    'user 2 is typing in chat 1',
  )
  assert.equal(pushLine('{"packet_type":"Status","user_id":2,"status_data":"away","expires_in":60}'), 'user 2 is away')
  assert.equal(pushLine('{"packet_type":"News"}'), '{"packet_type":"News"}')
  assert.equal(pushLine('not JSON'), 'not JSON')
})
