import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Outbox, type Sent, WAITING_MESSAGE_BYTES } from '../../src/ring/outbox.ts'
import { FLAG } from '../../src/ring/record.ts'
import { Ring, RingReader, RingWriter } from '../../src/ring/ring.ts'

function bytesOf(length: number, first: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (first + index * 7) & 0xff))
}

function send(outbox: Outbox, bytes: Buffer, headBytes = bytes.length): Sent {
  return outbox.send(1, bytes, headBytes, bytes, headBytes, bytes.length - headBytes)
}

function drainInto(reader: RingReader, seen: Buffer[], budget = 1_000_000): void {
  reader.drain(budget, (_kind, bytes, offset, length) =>
    seen.push(Buffer.from(bytes.subarray(offset, offset + length))),
  )
}

/** Reads and makes room until nothing moves any more. */
function pump(outbox: Outbox, reader: RingReader, seen: Buffer[]): void {
  do {
    drainInto(reader, seen)
    outbox.flush()
  } while (outbox.publish())
  drainInto(reader, seen)
}

test('outbox: waits without a ring, and sends in order when it comes', () => {
  const outbox = new Outbox(1, 10_000)
  assert.equal(send(outbox, bytesOf(3, 1)), 'waiting')
  assert.equal(send(outbox, bytesOf(0, 0)), 'waiting')
  assert.equal(outbox.waitingMessages, 2)
  const memory = Ring.allocate(256)
  outbox.connect(new RingWriter(memory))
  outbox.flush()
  assert.equal(outbox.waitingBytes, 0)
  assert.equal(send(outbox, bytesOf(3, 2)), 'ring')
  outbox.publish()
  const seen: Buffer[] = []
  drainInto(new RingReader(memory), seen)
  assert.deepEqual(seen, [bytesOf(3, 1), bytesOf(0, 0), bytesOf(3, 2)])
})

test('outbox: the bound is exact: full is taken, full + 1 is refused, and a refused message leaves no trace', () => {
  const outbox = new Outbox(1, 2 * WAITING_MESSAGE_BYTES + 10)
  assert.equal(send(outbox, bytesOf(4, 1)), 'waiting')
  assert.equal(send(outbox, bytesOf(7, 2)), 'refused')
  assert.equal(send(outbox, bytesOf(6, 3)), 'waiting')
  assert.equal(send(outbox, bytesOf(0, 4)), 'refused')
  assert.equal(outbox.waitingMessages, 2)
  const memory = Ring.allocate(256)
  outbox.connect(new RingWriter(memory))
  const seen: Buffer[] = []
  pump(outbox, new RingReader(memory), seen)
  assert.deepEqual(seen, [bytesOf(4, 1), bytesOf(6, 3)])
})

test('outbox: an empty queue takes a message larger than its bound, so nothing is refused for ever', () => {
  const outbox = new Outbox(1, 100)
  const memory = Ring.allocate(256)
  outbox.connect(new RingWriter(memory))
  const large = bytesOf(5_000, 1)
  assert.equal(send(outbox, large), 'waiting')
  assert.equal(send(outbox, bytesOf(1, 2)), 'refused')
  const seen: Buffer[] = []
  pump(outbox, new RingReader(memory), seen)
  assert.deepEqual(seen, [large])
})

test('outbox: room made just before it could be asked for is found, since nobody would ring', () => {
  const memory = Ring.allocate(256)
  const reader = new RingReader(memory)
  const seen: Buffer[] = []
  // The race, made certain: the consumer frees and looks for a request, and only then the request is stored.
  class LateRequest extends RingWriter {
    override requestRoom(): void {
      drainInto(reader, seen)
      assert.equal(reader.takeRoomRequest(), false)
      super.requestRoom()
    }
  }
  const outbox = new Outbox(1, 10_000)
  outbox.connect(new LateRequest(memory))
  const sent = [0, 1, 2, 3, 4].map((first) => bytesOf(56, first))
  for (const bytes of sent) {
    assert.equal(send(outbox, bytes), 'ring')
    outbox.publish()
  }
  drainInto(reader, seen)
  assert.deepEqual(seen, sent)
})

test('outbox: nothing overtakes, not even a small message that would fit beside a waiting large one', () => {
  const memory = Ring.allocate(256)
  const outbox = new Outbox(1, 100_000)
  outbox.connect(new RingWriter(memory))
  const sent = [bytesOf(56, 0), bytesOf(56, 1), bytesOf(56, 2), bytesOf(50, 3), bytesOf(57, 4), bytesOf(1, 5)]
  assert.deepEqual(
    sent.map((bytes) => send(outbox, bytes)),
    ['ring', 'ring', 'ring', 'ring', 'waiting', 'waiting'],
  )
  const seen: Buffer[] = []
  pump(outbox, new RingReader(memory), seen)
  assert.deepEqual(seen, sent)
})

test('outbox: exactly one record is not chunked, one byte more is', () => {
  const memory = Ring.allocate(1024)
  const outbox = new Outbox(1, 10_000)
  const reader = new RingReader(memory)
  outbox.connect(new RingWriter(memory))
  for (const [length, records] of [
    [248, 1],
    [249, 2],
    [244 + 248, 2],
    [244 + 249, 3],
  ] as const) {
    assert.equal(send(outbox, bytesOf(length, length), 10), 'ring')
    outbox.publish()
    const seen: Buffer[] = []
    const taken = reader.drain(100, (_kind, bytes, offset, size) =>
      seen.push(Buffer.from(bytes.subarray(offset, offset + size))),
    )
    assert.equal(taken, records)
    assert.deepEqual(seen, [bytesOf(length, length)])
  }
})

test('outbox: a reader refuses a message longer than its limit, and counts the chunks', () => {
  const memory = Ring.allocate(256)
  const outbox = new Outbox(1, 10_000)
  outbox.connect(new RingWriter(memory))
  let discarded = 0
  const reader = new RingReader(memory, 100, (chunks) => {
    discarded += chunks
  })
  send(outbox, bytesOf(101, 1))
  send(outbox, bytesOf(100, 2))
  const seen: Buffer[] = []
  pump(outbox, reader, seen)
  assert.deepEqual(seen, [bytesOf(100, 2)])
  assert.equal(discarded, 2)
})

test('outbox: half a message of a dead writer is discarded and counted, its successor is heard', () => {
  for (const next of [bytesOf(5, 9), bytesOf(300, 9)]) {
    const memory = Ring.allocate(256)
    let discarded = 0
    const reader = new RingReader(memory, 10_000, (chunks) => {
      discarded += chunks
    })
    const dead = new Outbox(1, 10_000)
    dead.connect(new RingWriter(memory))
    send(dead, bytesOf(1_000, 1))
    dead.publish()
    const seen: Buffer[] = []
    drainInto(reader, seen)
    const successor = new Outbox(2, 10_000)
    successor.connect(new RingWriter(memory))
    send(successor, next)
    successor.publish()
    pump(successor, reader, seen)
    assert.deepEqual(seen, [next])
    assert.ok(discarded >= 3, `${discarded} chunks`)
  }
})

test('ring: chunks of two generations are never joined', () => {
  const memory = Ring.allocate(256)
  const writer = new RingWriter(memory)
  let discarded = 0
  const reader = new RingReader(memory, 10_000, (chunks) => {
    discarded += chunks
  })
  const total = Buffer.from([6, 0, 0, 0, 1, 2, 3])
  assert.ok(writer.tryPush(1, 7, total, total.length, undefined, 0, 0, FLAG.first))
  assert.ok(writer.tryPush(1, 8, total, 3, undefined, 0, 0, FLAG.last))
  writer.publish()
  reader.drain(10, () => assert.fail('a message of two halves'))
  assert.equal(discarded, 2)
})

test('outbox: the successor of a reader discards the rest of a message that was half read', () => {
  const memory = Ring.allocate(256)
  const outbox = new Outbox(1, 10_000)
  outbox.connect(new RingWriter(memory))
  send(outbox, bytesOf(150, 1))
  send(outbox, bytesOf(4, 2))
  outbox.publish()
  const seen: Buffer[] = []
  drainInto(new RingReader(memory), seen, 1)
  let discarded = 0
  drainInto(
    new RingReader(memory, 10_000, (chunks) => {
      discarded += chunks
    }),
    seen,
  )
  assert.deepEqual(seen, [bytesOf(4, 2)])
  assert.equal(discarded, 2)
})

test('outbox: what it took arrives whole, in order and once, except what died with a writer or a reader', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ send: fc.oneof(fc.nat(80), fc.nat(1_500)) }) },
    { weight: 3, arbitrary: fc.constant('publish' as const) },
    { weight: 3, arbitrary: fc.record({ drain: fc.nat(10) }) },
    { weight: 3, arbitrary: fc.constant('flush' as const) },
    { weight: 1, arbitrary: fc.constantFrom('new writer' as const, 'new reader' as const) },
  )
  fc.assert(
    fc.property(fc.constantFrom(256, 1024), fc.array(step, { maxLength: 150 }), (capacityBytes, steps) => {
      const memory = Ring.allocate(capacityBytes)
      let generation = 1
      let discarded = 0
      let deadReaders = 0
      const newReader = (): RingReader =>
        new RingReader(memory, 10_000, (chunks) => {
          discarded += chunks
        })
      let reader = newReader()
      let outbox = new Outbox(generation, 4_000)
      outbox.connect(new RingWriter(memory))
      // Messages start with their number, so that the order of arrival can be told.
      let sent: Buffer[] = []
      const all: Buffer[] = []
      const seen: Buffer[] = []
      for (const at of steps) {
        if (at === 'publish') outbox.publish()
        else if (at === 'flush') outbox.flush()
        else if (at === 'new reader') {
          reader = newReader()
          deadReaders++
        } else if (at === 'new writer') {
          outbox = new Outbox(++generation, 4_000)
          outbox.connect(new RingWriter(memory))
          sent = []
        } else if ('drain' in at) drainInto(reader, seen, at.drain)
        else {
          const bytes = bytesOf(at.send + 4, all.length)
          bytes.writeUInt32LE(all.length)
          if (send(outbox, bytes, Math.min(bytes.length, 9)) !== 'refused') {
            all.push(bytes)
            sent.push(bytes)
          }
        }
      }
      pump(outbox, reader, seen)
      let last = -1
      for (const bytes of seen) {
        const number = bytes.readUInt32LE(0)
        assert.ok(number > last, 'in order, and once')
        assert.deepEqual(bytes, all[number])
        last = number
      }
      assert.equal(outbox.waitingMessages, 0)
      if (deadReaders > 0) return
      // All that the living writer took has arrived; before it, whatever its dead predecessors had published.
      assert.deepEqual(seen.slice(seen.length - sent.length), sent)
      if (generation === 1) assert.equal(discarded, 0)
    }),
    { numRuns: 300 },
  )
})
