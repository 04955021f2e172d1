import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CONNECTIONS_MAX, MESSAGE_BYTES_MIN, MessagePattern, WRONG } from '../../../src/cli/load/message.ts'

const sizes = fc.integer({ min: MESSAGE_BYTES_MIN, max: 300 })
const connections = fc.oneof(fc.nat(CONNECTIONS_MAX), fc.constant(CONNECTIONS_MAX))
const sequences = fc.oneof(fc.nat(1_000), fc.integer({ min: 2 ** 31, max: 64 ** 6 - 1 }))

test('message: what is written is read back, as printable ASCII, with or without newline', () => {
  fc.assert(
    fc.property(sizes, connections, sequences, fc.boolean(), fc.nat(), (size, connection, sequence, newline, seed) => {
      const pattern = new MessagePattern(size, seed, newline)
      const bytes = Buffer.alloc(size + 2, 0xff)
      pattern.write(bytes, 1, connection, sequence)
      const text = bytes.toString('latin1', 1, size + 1)
      assert.match(text, newline ? /^[\w-]+\n$/ : /^[\w-]+$/)
      assert.deepEqual([bytes[0], bytes[size + 1]], [0xff, 0xff])
      assert.equal(pattern.read(bytes, 1, size + 1 - (newline ? 1 : 0), connection), sequence)
    }),
  )
})

test('message: one damaged byte, a missing or an added one is noticed', () => {
  fc.assert(
    fc.property(
      sizes,
      connections,
      sequences,
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (size, from, seq, at, flip) => {
        const pattern = new MessagePattern(size, 1, false)
        const bytes = Buffer.alloc(size + 1, 0x30)
        pattern.write(bytes, 0, from, seq)
        assert.ok(pattern.read(bytes, 0, size - 1, from) < 0)
        assert.ok(pattern.read(bytes, 0, size + 1, from) < 0)
        const place = at % size
        bytes[place] = (bytes[place] ?? 0) ^ flip
        assert.ok(pattern.read(bytes, 0, size, from) < 0)
        if (place >= 16) assert.equal(pattern.damaged, seq)
      },
    ),
  )
})

test('message: another connection, or another run, is foreign', () => {
  const bytes = Buffer.alloc(64)
  const pattern = new MessagePattern(64, 1, false)
  pattern.write(bytes, 0, 5, 9)
  assert.equal(pattern.read(bytes, 0, 64, 6), WRONG.foreign)
  assert.equal(new MessagePattern(64, 2, false).read(bytes, 0, 64, 5), WRONG.foreign)
  assert.equal(pattern.read(Buffer.alloc(64, 'hello '), 0, 64, 5), WRONG.unreadable)
  assert.equal(pattern.damaged, -1)
})

test('message: whose it is can be told without knowing who should have sent it', () => {
  fc.assert(
    fc.property(sizes, connections, sequences, (size, connection, sequence) => {
      const pattern = new MessagePattern(size, 3, false)
      const bytes = Buffer.alloc(size + 2, 0xff)
      pattern.write(bytes, 1, connection, sequence)
      assert.equal(pattern.connectionOf(bytes, 1, size + 1), connection)
      assert.equal(new MessagePattern(size, 4, false).connectionOf(bytes, 1, size + 1), -1)
      assert.equal(pattern.connectionOf(bytes, 0, size), -1)
      assert.equal(pattern.connectionOf(bytes, 1, 16), -1)
    }),
  )
})
