import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackedId, errorOf, pushOf } from '../../../src/cli/load/chat-answer.ts'

/** The line between other bytes, as it lies in a read buffer. */
function inBuffer<T>(line: string, read: (bytes: Buffer, start: number, end: number) => T): T {
  const bytes = Buffer.from(`{"${line}\n0`)
  return read(bytes, 2, bytes.length - 2)
}

const idOf = (line: string): number => inBuffer(line, ackedId)

test('chat answer: the id of an acknowledgement, exactly as the protocol writes it', () => {
  assert.equal(idOf('{"message_id":123,"success":true,"error":null}'), 123)
  assert.equal(idOf('{"message_id":0,"success":true,"error":null}'), 0)
  assert.equal(idOf('{"message_id":9007199254740991,"success":true,"error":null}'), Number.MAX_SAFE_INTEGER)
  for (const other of [
    '',
    '{"message_id":',
    '{"message_id":,"success":true,"error":null}',
    '{"message_id":-1,"success":true,"error":null}',
    '{"message_id":1.5,"success":true,"error":null}',
    '{"message_id":12345678901234567,"success":true,"error":null}',
    '{"message_id":1, "success":true,"error":null}',
    '{"message_id":1,"success":false,"error":"x"}',
    '{"message_id":1,"success":true,"error":null} ',
    '"pong"',
  ]) {
    assert.equal(idOf(other), -1, other)
  }
})

test('chat answer: an error is told in its own words, and anything else as it is', () => {
  const errorIn = (line: string): string | undefined => inBuffer(line, errorOf)
  assert.equal(errorIn('{"message_id":0,"success":false,"error":"rate limit exceeded"}'), 'rate limit exceeded')
  assert.equal(errorIn('{"packet_type":"Subscribe","chat_id":1,"success":true,"error":null}'), undefined)
  assert.equal(errorIn('"pong"'), 'not an answer: "pong"')
  assert.equal(errorIn('{bad'), 'not an answer: {bad')
  assert.equal(errorIn('null'), 'not an answer: null')
  assert.equal(errorIn(`{"success":false,"error":"${'я'.repeat(100)}"}`), 'я'.repeat(80))
})

test('chat answer: pushes', () => {
  const message = '"message":{"id":7,"chat_id":2,"sender_id":1,"content":"x\\"y","message_type":"Text"}'
  assert.deepEqual(pushOf(`{"packet_type":"Message","chat_id":2,${message}}`), { chatId: 2, id: 7, content: 'x"y' })
  assert.equal(pushOf('{"packet_type":"Typing","chat_id":1,"user_id":2,"expires_in":5}'), 'other')
  assert.equal(pushOf('{"packet_type":"Status","user_id":2,"status_data":"online","expires_in":60}'), 'other')
  for (const wrong of [
    '{',
    'null',
    '1',
    '{"packet_type":"Message","chat_id":2}',
    `{"packet_type":"Message",${message}}`,
    '{"message_id":1,"success":true,"error":null}',
  ]) {
    assert.equal(pushOf(wrong), 'garbled', wrong)
  }
})
