import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { type FrameSink, MESSAGE_BYTES_LIMIT, WebSocketReceiver } from '../../../src/net/websocket/receiver.ts'
import { rotateMask, unmask, viewOf } from '../../../src/net/websocket/unmask.ts'
import { closePayload, encodeClientFrame } from './client-frame.ts'
import { Random } from './random.ts'

const LIMITS = { messageBytesMax: 1000, deflate: false }

class Recorder implements FrameSink {
  readonly events: string[] = []
  readonly payloads: Buffer[] = []
  pauseAfter = Number.POSITIVE_INFINITY

  message(payload: Buffer, isBinary: boolean): void {
    this.payloads.push(payload)
    this.events.push(`${isBinary ? 'binary' : 'text'} ${payload.toString('latin1')}`)
  }

  ping(payload: Buffer): void {
    this.events.push(`ping ${payload.toString('latin1')}`)
  }

  pong(payload: Buffer): void {
    this.events.push(`pong ${payload.toString('latin1')}`)
  }

  close(code: number, reason: Buffer): void {
    this.events.push(`close ${code} ${reason.toString()}`)
  }

  fail(code: number, error: string): void {
    this.events.push(`fail ${code} ${error}`)
  }

  stopped(): boolean {
    return this.payloads.length >= this.pauseAfter
  }
}

function receive(...frames: Buffer[]): string[] {
  const sink = new Recorder()
  const bytes = Buffer.concat(frames)
  assert.equal(new WebSocketReceiver(LIMITS).push(bytes, 0, bytes.length, sink), bytes.length)
  return sink.events
}

test('unmask: any length at any offset, and its phase when cut', () => {
  const random = new Random(1)
  for (let length = 0; length < 70; length++) {
    for (const from of [0, 1, 2, 3, 5]) {
      const mask = random.bytes(4)
      const plain = random.bytes(length)
      const bytes = Buffer.alloc(from + length + 5, 0x55)
      for (let i = 0; i < length; i++) bytes[from + i] = (plain[i] ?? 0) ^ (mask[i & 3] ?? 0)
      const cut = random.below(length + 1)
      const view = viewOf(bytes)
      const word = mask.readInt32LE()
      const first = unmask(view, from, from + cut, word)
      const second = unmask(view, from + cut, from + length, rotateMask(word, cut))
      assert.ok(bytes.subarray(from, from + length).equals(plain), `${length} bytes at ${from}, cut at ${cut}`)
      assert.ok(bytes.subarray(0, from).every((byte) => byte === 0x55))
      assert.ok(bytes.subarray(from + length).every((byte) => byte === 0x55))
      assert.equal(
        (first | second) === 0,
        plain.every((byte) => byte < 0x80),
        'notices what is not ASCII',
      )
    }
  }
})

test('unmask: notices a single byte that is not ASCII, wherever it is', () => {
  for (let length = 1; length < 70; length++) {
    for (let at = 0; at < length; at++) {
      const bytes = Buffer.alloc(length, 'a')
      bytes[at] = 0x80
      assert.notEqual(unmask(viewOf(bytes), 0, length, 0), 0, `${at} of ${length}`)
    }
  }
})

test('receiver: a whole frame is delivered as a view of the chunk', () => {
  const sink = new Recorder()
  const bytes = encodeClientFrame({ opcode: 2, payload: 'in place' })
  new WebSocketReceiver(LIMITS).push(bytes, 0, bytes.length, sink)
  assert.equal(sink.payloads[0]?.buffer, bytes.buffer)
  assert.equal(sink.payloads[0]?.byteOffset, bytes.byteOffset + 6)
})

test('receiver: only [start, end) is read or changed', () => {
  const sink = new Recorder()
  const frame = encodeClientFrame({ opcode: 1, payload: 'between' })
  const bytes = Buffer.concat([Buffer.alloc(7, 0x81), frame, Buffer.alloc(9, 0x81)])
  assert.equal(new WebSocketReceiver(LIMITS).push(bytes, 7, 7 + frame.length, sink), frame.length)
  assert.deepEqual(sink.events, ['text between'])
  assert.ok(bytes.subarray(7 + frame.length).every((byte) => byte === 0x81))
})

test('receiver: stops behind a message and leaves the rest untouched', () => {
  const sink = new Recorder()
  sink.pauseAfter = 1
  const frames = ['one', 'two', 'three'].map((payload) => encodeClientFrame({ opcode: 1, payload }))
  const bytes = Buffer.concat(frames)
  const receiver = new WebSocketReceiver(LIMITS)
  const consumed = receiver.push(bytes, 0, bytes.length, sink)
  assert.equal(consumed, frames[0]?.length)
  assert.ok(bytes.subarray(consumed).equals(Buffer.concat(frames.slice(1))))
  sink.pauseAfter = Number.POSITIVE_INFINITY
  assert.equal(receiver.push(bytes, consumed, bytes.length, sink), bytes.length - consumed)
  assert.deepEqual(sink.events, ['text one', 'text two', 'text three'])
})

test('receiver: stops behind a fragmented message too, and not behind control frames', () => {
  const sink = new Recorder()
  sink.pauseAfter = 0
  const ping = encodeClientFrame({ opcode: 9, payload: 'p' })
  const first = encodeClientFrame({ opcode: 2, fin: false, payload: 'a' })
  const last = encodeClientFrame({ opcode: 0, payload: '' })
  const bytes = Buffer.concat([ping, first, ping, last, ping])
  assert.equal(new WebSocketReceiver(LIMITS).push(bytes, 0, bytes.length, sink), bytes.length - ping.length)
  assert.deepEqual(sink.events, ['ping p', 'ping p', 'binary a'])
})

test('receiver: the length limit, in one frame and in fragments', () => {
  const full = Buffer.alloc(1000, 'x')
  const tooLarge = 'fail 1009 the message is longer than allowed'
  assert.equal(receive(encodeClientFrame({ opcode: 1, payload: full })).length, 1)
  assert.deepEqual(receive(encodeClientFrame({ opcode: 1, payload: `${full}x` })), [tooLarge])
  const first = encodeClientFrame({ opcode: 1, fin: false, payload: full })
  assert.equal(receive(first, encodeClientFrame({ opcode: 0 })).length, 1)
  assert.deepEqual(receive(first, encodeClientFrame({ opcode: 0, payload: 'x' })), [tooLarge])
})

test('receiver: a declared length over the limit fails before any payload comes', () => {
  for (const declaredBytes of [1001n, 2n ** 16n, 2n ** 30n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    const frame = encodeClientFrame({ opcode: 2, declaredBytes, lengthForm: 64 })
    assert.deepEqual(receive(frame.subarray(0, 10)), ['fail 1009 the message is longer than allowed'])
  }
})

test('receiver: storage follows what was received, not what was declared', () => {
  const limits = { messageBytesMax: MESSAGE_BYTES_LIMIT, deflate: false }
  const head = encodeClientFrame({ opcode: 2, declaredBytes: MESSAGE_BYTES_LIMIT, payload: 'abc' })
  const before = process.memoryUsage().arrayBuffers
  const receivers: WebSocketReceiver[] = []
  for (let i = 0; i < 1000; i++) {
    const receiver = new WebSocketReceiver(limits)
    receiver.push(Buffer.from(head), 0, head.length, new Recorder())
    receivers.push(receiver)
  }
  // A thousand claims of 1 GiB each, 3 bytes received.
  assert.ok(process.memoryUsage().arrayBuffers - before < 4_000_000)
  assert.ok(receivers.every((receiver) => receiver.freeze().kept?.length === 3))
})

test('receiver: after a failure or a close frame nothing is delivered and all counts as consumed', () => {
  const text = encodeClientFrame({ opcode: 1, payload: 'late' })
  const failed = receive(encodeClientFrame({ opcode: 3 }), text)
  assert.deepEqual(failed, ['fail 1002 unknown opcode'])
  const closed = receive(encodeClientFrame({ opcode: 8, payload: closePayload(1001, 'bye') }), text)
  assert.deepEqual(closed, ['close 1001 bye'])
})

test('receiver: every header rule has its own text', () => {
  const header = (first: number, second: number): string | undefined => receive(Buffer.of(first, second))[0]
  assert.equal(header(0xa1, 0x80), 'fail 1002 RSV2 and RSV3 must be clear')
  assert.equal(header(0xc1, 0x80), 'fail 1002 RSV1 must be clear without an extension')
  assert.equal(header(0x09, 0x80), 'fail 1002 a control frame must not be fragmented')
  assert.equal(header(0x89, 0xfe), 'fail 1002 a control frame must not be longer than 125 bytes')
  assert.equal(header(0x88, 0x81), 'fail 1002 a close frame must not have one byte')
  assert.equal(header(0x80, 0x80), 'fail 1002 there is no message to continue')
  assert.equal(header(0x8b, 0x80), 'fail 1002 unknown opcode')
  assert.equal(header(0x81, 0x00), 'fail 1002 a client frame must be masked')
  const open = encodeClientFrame({ opcode: 1, fin: false })
  const final = encodeClientFrame({ opcode: 1, payload: 'short' })
  for (const next of [open, final]) {
    assert.deepEqual(receive(open, next), ['fail 1002 a message must be finished before the next'])
  }
})

test('receiver: RSV1 belongs to the first frame of a compressed message only', () => {
  const limits = { ...LIMITS, deflate: true }
  const first = encodeClientFrame({ opcode: 1, rsv: 4, fin: false })
  const cases = [
    [Buffer.of(0xc9, 0x80), 'a control frame must not be compressed'],
    [Buffer.concat([first, Buffer.of(0xc0, 0x80)]), 'RSV1 belongs to the first frame of a message'],
  ] as const
  for (const [bytes, error] of cases) {
    const sink = new Recorder()
    new WebSocketReceiver(limits).push(bytes, 0, bytes.length, sink)
    assert.deepEqual(sink.events, [`fail 1002 ${error}`])
  }
})

test('receiver: a compressed message may inflate to the limit and not beyond', () => {
  for (const [bytes, outcome] of [
    [1000, `text ${'x'.repeat(1000)}`],
    [1001, 'fail 1009 the message inflates beyond the limit'],
    [500_000, 'fail 1009 the message inflates beyond the limit'],
  ] as const) {
    const payload = deflateRawSync(Buffer.alloc(bytes, 'x'))
    assert.ok(payload.length < 1000)
    const frame = encodeClientFrame({ opcode: 1, rsv: 4, payload })
    const sink = new Recorder()
    new WebSocketReceiver({ messageBytesMax: 1000, deflate: true }).push(frame, 0, frame.length, sink)
    assert.deepEqual(sink.events, [outcome])
  }
})

test('receiver: data that are not deflate fail with 1007', () => {
  const frame = encodeClientFrame({ opcode: 2, rsv: 4, payload: Buffer.of(0xff, 0xff, 0xff) })
  const sink = new Recorder()
  new WebSocketReceiver({ messageBytesMax: 1000, deflate: true }).push(frame, 0, frame.length, sink)
  assert.deepEqual(sink.events, ['fail 1007 not deflate data'])
})

test('receiver: text is checked as it inflates, not as it was sent', () => {
  // Three ASCII bytes that inflate to 61 a5 70.
  const frame = encodeClientFrame({ opcode: 1, rsv: 4, payload: 'J\\Z' })
  const sink = new Recorder()
  new WebSocketReceiver({ messageBytesMax: 1000, deflate: true }).push(frame, 0, frame.length, sink)
  assert.deepEqual(sink.events, ['fail 1007 text is not UTF-8'])
})

test('receiver: frozen at every byte, another thread goes on', () => {
  const bytes = Buffer.concat([
    encodeClientFrame({ opcode: 1, payload: 'whole' }),
    encodeClientFrame({ opcode: 2, fin: false, payload: Buffer.alloc(130, 'y') }),
    encodeClientFrame({ opcode: 9, payload: 'between' }),
    encodeClientFrame({ opcode: 0, payload: 'end', lengthForm: 64 }),
    encodeClientFrame({ opcode: 8, payload: closePayload(4000, 'moved') }),
    encodeClientFrame({ opcode: 1, payload: 'late' }),
  ])
  const expected = ['text whole', 'ping between', `binary ${'y'.repeat(130)}end`, 'close 4000 moved']
  for (let cut = 0; cut <= bytes.length; cut++) {
    const sink = new Recorder()
    const copy = Buffer.from(bytes)
    const before = new WebSocketReceiver(LIMITS)
    assert.equal(before.push(copy, 0, cut, sink), cut)
    const after = WebSocketReceiver.thaw(LIMITS, structuredClone(before.freeze()))
    assert.equal(after.push(copy, cut, copy.length, sink), copy.length - cut)
    assert.deepEqual(sink.events, expected, `cut at ${cut}`)
  }
})

test('receiver: between messages it holds no storage', () => {
  const receiver = new WebSocketReceiver(LIMITS)
  const idle = receiver.freeze()
  const sink = new Recorder()
  const frames = [
    encodeClientFrame({ opcode: 1, fin: false, payload: 'a' }),
    encodeClientFrame({ opcode: 9, payload: 'b' }),
    encodeClientFrame({ opcode: 0, payload: 'c' }),
  ]
  for (const byte of Buffer.concat(frames)) receiver.push(Buffer.of(byte), 0, 1, sink)
  assert.deepEqual(sink.events, ['ping b', 'text ac'])
  const { state, messageFlags, messageBytes, kept } = receiver.freeze()
  assert.deepEqual(
    { state, messageFlags, messageBytes, kept },
    { state: idle.state, messageFlags: 0, messageBytes: 0, kept: undefined },
  )
})

test('receiver: the limit must be in range', () => {
  for (const messageBytesMax of [0, -1, MESSAGE_BYTES_LIMIT + 1, Number.NaN]) {
    assert.throws(() => new WebSocketReceiver({ messageBytesMax, deflate: false }), { name: 'AssertionError' })
  }
})
