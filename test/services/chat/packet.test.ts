import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Packet, parsePacket } from '../../../src/services/chat/packet.ts'
import { TEXT } from '../../../src/services/chat/text.ts'

function parsed(value: unknown): Packet {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return parsePacket(bytes, 0, bytes.length)
}

/** What is said about a packet that is not valid. */
function problem(value: unknown): string {
  const packet = parsed(value)
  assert.equal(packet.type, 'problem', JSON.stringify(value))
  return packet.type === 'problem' ? packet.text : ''
}

function message(members: Readonly<Record<string, unknown>>): unknown {
  return { packet_type: 'SendMessage', message: { chat_id: 1, sender_id: 2, content: 'x', ...members } }
}

test('packet: every type, with what it needs and nothing more', () => {
  const send = { type: 'SendMessage', chatId: 1, senderId: 2, content: 'x', messageType: 'Text' }
  for (const [value, wanted] of [
    [message({}), send],
    [message({ message_type: null, id: {}, created_at: 1, edited_at: [], is_edited: null }), send],
    [message({ message_type: 'System', is_edited: true }), { ...send, messageType: 'System' }],
    [
      { packet_type: 'GetMessages', chat_id: -3 },
      { type: 'GetMessages', chatId: -3, page: 1, perPage: 50 },
    ],
    [
      { packet_type: 'GetMessages', chat_id: 1, page: null, per_page: 1000, message: 1 },
      { type: 'GetMessages', chatId: 1, page: 1, perPage: 200 },
    ],
    [{ packet_type: 'Ack', message: 'any' }, { type: 'Ack' }],
    [{ packet_type: 'Ping', chat_id: {} }, { type: 'Ping' }],
    [
      { packet_type: 'Status', user_id: 1, status_data: 'away' },
      { type: 'Status', userId: 1, status: 'away', token: undefined },
    ],
    [
      { packet_type: 'Typing', chat_id: 1, user_id: 2, token: 't' },
      { type: 'Typing', chatId: 1, userId: 2, token: 't' },
    ],
    [
      { packet_type: 'Subscribe', chat_id: 1 },
      { type: 'Subscribe', chatId: 1 },
    ],
    [
      { packet_type: 'Unsubscribe', chat_id: 1 },
      { type: 'Unsubscribe', chatId: 1 },
    ],
    [
      { packet_type: 'Auth', token: 't' },
      { type: 'Auth', token: 't' },
    ],
    [{ packet_type: 'Auth' }, { type: 'Auth', token: '' }],
  ])
    assert.deepEqual(parsed(value), wanted)
})

test('packet: what is said about a member', () => {
  for (const [value, wanted] of [
    [{}, 'packet_type is missing'],
    [{ packet_type: 7 }, 'packet_type must be a string'],
    [{ packet_type: 'SendMessage' }, 'message is missing'],
    [{ packet_type: 'SendMessage', message: [] }, 'message must be an object'],
    [message({ chat_id: null }), 'message.chat_id is missing'],
    [message({ chat_id: '1' }), 'message.chat_id must be an integer'],
    [message({ sender_id: 2 ** 53 }), 'message.sender_id must be an integer'],
    [message({ content: undefined }), 'message.content is missing'],
    [message({ content: 1 }), 'message.content must be a string'],
    [message({ content: '\ud800' }), 'message.content must be well-formed Unicode'],
    [message({ message_type: 'text' }), 'message.message_type must be one of Text, Image, File, System'],
    [message({ is_edited: 0 }), 'message.is_edited must be a boolean'],
    [{ packet_type: 'GetMessages', chat_id: 1, page: 0 }, 'page must be an integer of at least 1'],
    [{ packet_type: 'GetMessages', chat_id: 1, per_page: 0.5 }, 'per_page must be an integer of at least 1'],
    [{ packet_type: 'Status', user_id: 1 }, 'status_data is missing'],
    [
      { packet_type: 'Status', user_id: 1, status_data: 'ж'.repeat(33) },
      'status_data must be a string of 1 to 64 bytes',
    ],
    [{ packet_type: 'Typing', chat_id: 1 }, 'user_id is missing'],
    [{ packet_type: 'Unsubscribe', chat_id: true }, 'chat_id must be an integer'],
  ])
    assert.equal(problem(value), `invalid packet: ${wanted}`)
})

test('packet: content is measured in bytes of UTF-8', () => {
  for (const content of ['x'.repeat(4000), 'ж'.repeat(2000), '\u{1F600}'.repeat(1000)]) {
    assert.equal(parsed(message({ content })).type, 'SendMessage')
    assert.equal(problem(message({ content: `${content}y` })), TEXT.contentTooLong)
  }
  assert.equal(problem(message({ content: '' })), TEXT.contentEmpty)
})

test('packet: what is no object, no JSON or no UTF-8 is invalid JSON', () => {
  for (const text of ['', '[]', 'null', '1', '"a"', '{', '{a}', '{"a":1,}', '\ufeff{}', '{}{}'])
    assert.equal(problem(text), TEXT.invalidJson, text)
  const ping = Buffer.from('{"packet_type":"Ping","x":"?"}')
  const mark = ping.indexOf('?')
  for (const bytes of [[0x80], [0xc0, 0x80], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff]]) {
    const whole = Buffer.concat([ping.subarray(0, mark), Buffer.from(bytes), ping.subarray(mark + 1)])
    assert.equal(problem(whole), TEXT.invalidJson, bytes.join())
  }
  assert.equal(parsed('{"packet_type":"Ping","x":"\ufffd"}').type, 'Ping', 'a replacement character is a character')
})

test('packet: an unknown type is shown by its first 64 characters', () => {
  assert.equal(problem({ packet_type: 'ping' }), 'unknown packet_type: ping')
  assert.equal(problem({ packet_type: '\u{1F600}'.repeat(65) }), `unknown packet_type: ${'\u{1F600}'.repeat(64)}`)
  assert.equal(problem({ packet_type: 'toString' }), 'unknown packet_type: toString')
})

test('packet: deep nesting and huge numbers do no harm', () => {
  for (const text of [
    `{"packet_type":"Ping","x":${'['.repeat(32_000)}${']'.repeat(32_000)}}`,
    `{"packet_type":"Ping","x":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`,
    `{"packet_type":"Ping","x":${'9'.repeat(60_000)},"__proto__":{"packet_type":1}}`,
  ])
    assert.equal(parsed(text).type, 'Ping')
  assert.equal(problem('{"a":'.repeat(13_000)), TEXT.invalidJson)
  assert.equal(problem(`{"a":${'['.repeat(65_000)}`), TEXT.invalidJson)
})

const TYPES = ['SendMessage', 'GetMessages', 'Ack', 'Ping', 'Status', 'Typing', 'Subscribe', 'Unsubscribe', 'Auth', 'x']
const MEMBERS = [
  'packet_type',
  'message',
  'chat_id',
  'page',
  'per_page',
  'user_id',
  'status_data',
  'token',
  '__proto__',
]

test('packet: whatever comes, the answer is a packet whose numbers are numbers, or one line', () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(...TYPES),
    fc.integer(),
    fc.constantFrom(null, Number.MAX_VALUE, -0),
  )
  const inner = fc.dictionary(fc.constantFrom('chat_id', 'sender_id', 'content', 'message_type', 'is_edited'), value)
  const object = fc.dictionary(fc.constantFrom(...MEMBERS), fc.oneof(value, inner))
  const input = fc.oneof(
    object.map((one) => Buffer.from(JSON.stringify(one))),
    fc.uint8Array().map((one) => Buffer.from(one)),
  )
  fc.assert(
    fc.property(input, (bytes) => {
      const packet = parsed(bytes)
      if (packet.type === 'problem') assert.match(packet.text, /^[^\n]+/)
      for (const [name, member] of Object.entries(packet))
        if (/Id$|^page|^perPage/.test(name)) assert.ok(Number.isSafeInteger(member), name)
    }),
    { numRuns: 2_000 },
  )
})
