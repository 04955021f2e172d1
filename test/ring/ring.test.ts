import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AssertionError } from '../../src/lib/assert.ts'
import { DATA_START, HEADER_BYTES, RING_WORD } from '../../src/ring/record.ts'
import { Ring, RingReader, RingWriter } from '../../src/ring/ring.ts'

const NO_BYTES = new Uint8Array(0)

/** An empty ring whose counters start anywhere, for instance just before they wrap. */
function ringAt(capacityBytes: number, counter: number): SharedArrayBuffer {
  const memory = Ring.allocate(capacityBytes)
  const words = new Int32Array(memory)
  words[RING_WORD.tail] = counter
  words[RING_WORD.freed] = counter
  words[RING_WORD.claimed] = counter
  return memory
}

function push(writer: RingWriter, bytes: Uint8Array, kind = 1): boolean {
  return writer.tryPush(kind, 1, bytes, bytes.length)
}

function drainAll(reader: RingReader, budget = 1_000_000): Buffer[] {
  const seen: Buffer[] = []
  reader.drain(budget, (_kind, bytes, offset, length) =>
    seen.push(Buffer.from(bytes.subarray(offset, offset + length))),
  )
  return seen
}

function bytesOf(length: number, first = 0): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (first + index * 7) & 0xff))
}

test('ring: an empty ring gives nothing, and neither does one that was not published', () => {
  const memory = Ring.allocate(256)
  const writer = new RingWriter(memory)
  const reader = new RingReader(memory)
  assert.deepEqual(drainAll(reader), [])
  assert.equal(writer.publish(), false)
  assert.ok(push(writer, bytesOf(3)))
  assert.deepEqual(drainAll(reader), [])
  assert.equal(writer.publish(), true)
  assert.deepEqual(drainAll(reader), [bytesOf(3)])
})

test('ring: a record carries its kind and both parts, at every length that takes another way to copy', () => {
  const memory = Ring.allocate(4096)
  const writer = new RingWriter(memory)
  const reader = new RingReader(memory)
  for (const headBytes of [0, 1, 24, 25, 100]) {
    for (const bodyBytes of [0, 1, 24, 25, 500]) {
      const head = bytesOf(headBytes + 3, 1)
      const body = bytesOf(bodyBytes + 9, 90)
      assert.ok(writer.tryPush(0xffff, 0xffff, head, headBytes, body, 5, bodyBytes))
      writer.publish()
      let seen = 0
      reader.drain(1, (kind, bytes, offset, length) => {
        seen++
        assert.equal(kind, 0xffff)
        const expected = Buffer.concat([head.subarray(0, headBytes), body.subarray(5, 5 + bodyBytes)])
        assert.deepEqual(Buffer.from(bytes.subarray(offset, offset + length)), expected)
      })
      assert.equal(seen, 1)
    }
  }
})

test('ring: full takes exactly its capacity, refuses one record more, and has room again after one was read', () => {
  const memory = Ring.allocate(256)
  const writer = new RingWriter(memory)
  const reader = new RingReader(memory)
  for (let index = 0; index < 4; index++) assert.ok(push(writer, bytesOf(56, index)))
  assert.equal(writer.usedBytes, 256)
  assert.equal(push(writer, NO_BYTES), false)
  writer.publish()
  assert.deepEqual(drainAll(reader, 1), [bytesOf(56, 0)])
  assert.ok(push(writer, bytesOf(56, 4)))
  assert.equal(push(writer, NO_BYTES), false)
  writer.publish()
  assert.deepEqual(
    drainAll(reader),
    [1, 2, 3, 4].map((first) => bytesOf(56, first)),
  )
  assert.equal(writer.usedBytes, 0)
})

test('ring: a record that would cross the end is padded to the start, also when only a header fits before it', () => {
  for (const before of [8, 16, 56]) {
    const memory = ringAt(256, 256 - before)
    const writer = new RingWriter(memory)
    const reader = new RingReader(memory)
    assert.ok(push(writer, bytesOf(56)))
    writer.publish()
    assert.equal(writer.usedBytes, before + 64)
    assert.deepEqual(drainAll(reader), [bytesOf(56)])
    assert.deepEqual(Buffer.from(memory, DATA_START + HEADER_BYTES, 56), bytesOf(56))
  }
})

test('ring: a record is at most a quarter of the ring, and a capacity a power of two', () => {
  const writer = new RingWriter(Ring.allocate(1024))
  assert.equal(writer.payloadBytesMax, 248)
  assert.ok(push(writer, bytesOf(248)))
  assert.throws(() => push(writer, bytesOf(249)), AssertionError)
  for (const wrong of [0, 128, 1000, 128 * 1024 * 1024]) assert.throws(() => Ring.allocate(wrong), AssertionError)
})

test('ring: the budget bounds a drain, and a sink can stop one', () => {
  const memory = Ring.allocate(1024)
  const writer = new RingWriter(memory)
  const reader = new RingReader(memory)
  for (let index = 0; index < 6; index++) push(writer, bytesOf(1, index))
  writer.publish()
  assert.equal(drainAll(reader, 2).length, 2)
  assert.equal(drainAll(reader, 0).length, 0)
  assert.equal(
    reader.drain(10, () => reader.stop()),
    1,
  )
  assert.equal(drainAll(reader).length, 3)
})

test('ring: a sink that throws has had its record, and the next drain goes on behind it', () => {
  const memory = Ring.allocate(256)
  const writer = new RingWriter(memory)
  const reader = new RingReader(memory)
  for (let index = 0; index < 3; index++) push(writer, bytesOf(1, index))
  writer.publish()
  assert.throws(() => reader.drain(10, () => assert.fail('user code')), /user code/)
  assert.deepEqual(drainAll(reader), [bytesOf(1, 1), bytesOf(1, 2)])
  assert.equal(writer.usedBytes, 0)
})

test('ring: a record is claimed before its sink runs and freed after it, so no reader sees it twice and no writer early', () => {
  const memory = Ring.allocate(256)
  const writer = new RingWriter(memory)
  const reader = new RingReader(memory)
  for (let index = 0; index < 4; index++) push(writer, bytesOf(56, index))
  writer.publish()
  let calls = 0
  reader.drain(1, () => {
    calls++
    // The producer cannot overwrite the record at hand …
    assert.equal(push(new RingWriter(memory), NO_BYTES), false)
    // … and a successor that starts while this sink never returns begins with the next one.
    assert.deepEqual(drainAll(new RingReader(memory), 1), [bytesOf(56, 1)])
  })
  assert.equal(calls, 1)
})

test('ring: a writer that died unpublished leaves nothing, and its successor goes on at the published tail', () => {
  const memory = Ring.allocate(256)
  const first = new RingWriter(memory)
  push(first, bytesOf(5, 1))
  first.publish()
  push(first, bytesOf(5, 2))
  const second = new RingWriter(memory)
  push(second, bytesOf(5, 3))
  second.publish()
  assert.deepEqual(drainAll(new RingReader(memory)), [bytesOf(5, 1), bytesOf(5, 3)])
})

test('ring: a request for room is answered once, when half of the ring is free', () => {
  const memory = Ring.allocate(256)
  const writer = new RingWriter(memory)
  const reader = new RingReader(memory)
  for (let index = 0; index < 4; index++) push(writer, bytesOf(56, index))
  writer.publish()
  assert.equal(reader.takeRoomRequest(), false)
  writer.requestRoom()
  drainAll(reader, 1)
  assert.equal(reader.takeRoomRequest(), false, 'a quarter is free')
  drainAll(reader, 1)
  assert.equal(reader.takeRoomRequest(), true)
  assert.equal(reader.takeRoomRequest(), false)
})

test('ring: behaves as a queue of bytes, through wraps, full rings and successors on both sides', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ push: fc.nat(300), head: fc.nat(300) }) },
    { weight: 2, arbitrary: fc.constant('publish' as const) },
    { weight: 3, arbitrary: fc.record({ drain: fc.nat(12) }) },
    { weight: 1, arbitrary: fc.constantFrom('new writer' as const, 'new reader' as const) },
  )
  fc.assert(
    fc.property(
      fc.constantFrom(256, 512, 1024),
      fc.constantFrom(0, -8, -1000, 0x7fff_fff8, 0x7fff_ff00).map((counter) => counter & -8),
      fc.array(step, { maxLength: 200 }),
      (capacityBytes, counter, steps) => {
        const memory = ringAt(capacityBytes, counter)
        let writer = new RingWriter(memory)
        let reader = new RingReader(memory)
        let unpublished: Buffer[] = []
        let published: Buffer[] = []
        let number = 0
        for (const at of steps) {
          if (at === 'publish') {
            assert.equal(writer.publish(), unpublished.length > 0)
            published = published.concat(unpublished)
            unpublished = []
          } else if (at === 'new writer') {
            writer = new RingWriter(memory)
            unpublished = []
          } else if (at === 'new reader') {
            reader = new RingReader(memory)
          } else if ('drain' in at) {
            assert.deepEqual(drainAll(reader, at.drain), published.slice(0, at.drain))
            published = published.slice(at.drain)
          } else {
            const bytes = bytesOf(Math.min(at.push, writer.payloadBytesMax), number++)
            const headBytes = Math.min(at.head, bytes.length)
            const took = writer.tryPush(3, 1, bytes, headBytes, bytes, headBytes, bytes.length - headBytes)
            if (took) unpublished.push(bytes)
            else assert.ok(writer.usedBytes > capacityBytes / 2, 'a ring that is half empty takes any record')
          }
          assert.ok(writer.usedBytes >= 0 && writer.usedBytes <= capacityBytes)
        }
        writer.publish()
        assert.deepEqual(drainAll(reader), published.concat(unpublished))
      },
    ),
    { numRuns: 300 },
  )
})
