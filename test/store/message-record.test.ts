import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALL_HEAD_BYTES } from '../../src/ring/call-record.ts'
import { MessageWriter, messageIn, type NewMessage, storedIn, writeStored } from '../../src/store/message-record.ts'
import { STORED_AT, TYPES } from '../../src/store/store-record.ts'

const MESSAGE: NewMessage = { chatId: 1, senderId: 2, content: 'Hello', type: 'Text', createSender: false }

/** As the store's thread gets it; undefined: it has to be packed. */
function crossed(message: NewMessage): NewMessage | undefined {
  const writer = new MessageWriter()
  const length = writer.write(message)
  if (length < 0) return undefined
  return messageIn(Buffer.concat([Buffer.alloc(CALL_HEAD_BYTES), writer.bytes.subarray(0, length)]))
}

test('message record: what is written is read, every type, text and number', () => {
  for (const type of TYPES) assert.deepEqual(crossed({ ...MESSAGE, type }), { ...MESSAGE, type })
  for (const content of ['', 'a\0b', 'ж'.repeat(4_000), '\u{1F600}', '\uFEFFx', 'x'.repeat(5_455)])
    assert.deepEqual(crossed({ ...MESSAGE, content }), { ...MESSAGE, content })
  for (const id of [0, -1, 1.5, 2 ** 32, Number.MAX_SAFE_INTEGER, Number.NaN, Number.NEGATIVE_INFINITY])
    assert.deepEqual(crossed({ ...MESSAGE, chatId: id, senderId: id }), { ...MESSAGE, chatId: id, senderId: id })
  assert.deepEqual(crossed({ ...MESSAGE, createSender: true }), { ...MESSAGE, createSender: true })
})

test('message record: what has no such layout is left to be packed', () => {
  const announce = { log: 'x', countMax: 1, ttlSeconds: 1, before: '', after: '', createdAt: 1 }
  const others: NewMessage[] = [
    { ...MESSAGE, announce },
    { ...MESSAGE, content: 'x'.repeat(5_456) },
    { ...MESSAGE, content: 1 as never },
    { ...MESSAGE, type: 'Poem' as 'Text' },
    { ...MESSAGE, chatId: '1' as never },
    { ...MESSAGE, senderId: undefined as never },
  ]
  for (const other of others) assert.equal(crossed(other), undefined)
})

test('message record: a sender makes the stored message of the answer and of what it has sent', () => {
  const answer = Buffer.alloc(CALL_HEAD_BYTES + STORED_AT.end)
  const { content, chatId, senderId, type } = MESSAGE
  const stored = { id: 2 ** 40, sequence: 7, chatId, senderId, content, type, createdAt: 1_700_000_000 }
  writeStored(answer, 5, stored)
  assert.deepEqual(storedIn(answer, MESSAGE), stored)
  assert.equal(storedIn(answer, { ...MESSAGE, content: 'x\uD800' }).content, 'x\uFFFD')
})

test('message record: one that was cut off, or is of no type, is none', () => {
  const head = Buffer.alloc(CALL_HEAD_BYTES)
  assert.throws(() => messageIn(head), { code: 'VALUE_INVALID' })
  const writer = new MessageWriter()
  const bytes = Buffer.concat([head, writer.bytes.subarray(0, writer.write(MESSAGE))])
  bytes[CALL_HEAD_BYTES + 16] = TYPES.length
  assert.throws(() => messageIn(bytes), { code: 'VALUE_INVALID' })
})
