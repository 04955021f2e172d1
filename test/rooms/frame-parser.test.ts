import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DESCRIPTOR_BYTES, encodeDescriptor, encodeFrame, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { type FrameCourse, FrameParser, type FrozenFrameParser } from '../../src/services/rooms/frame-parser.ts'

const HEADER_BYTES_MAX = 4_096

/** Writes down what it is given. */
class Notes {
  readonly said: string[] = []
  course: FrameCourse = 'take'
  onContent: () => void = () => {}
  #content = ''

  begin(type: number, headerBytes: number, contentBytes: bigint): FrameCourse {
    this.said.push(`begin ${type} ${headerBytes} ${contentBytes}`)
    return this.course
  }

  header(bytes: Buffer): void {
    this.said.push(`header ${bytes}`)
  }

  content(chunk: Buffer): void {
    assert.ok(chunk.length > 0)
    this.#content += chunk
    this.onContent()
  }

  end(): void {
    this.said.push(`end ${this.#content}`)
    this.#content = ''
  }
}

const stream = Buffer.concat([
  encodeFrame(MESSAGE_TYPE.login, 'bob'),
  encodeFrame(MESSAGE_TYPE.utf8, '', 'hello'),
  encodeFrame(MESSAGE_TYPE.logout),
  encodeFrame(MESSAGE_TYPE.file, 'ä.txt', 'x'.repeat(100)),
])
const told = [
  ...['begin 1 3 0', 'header bob', 'end '],
  ...['begin 7 0 5', 'header ', 'end hello'],
  ...['begin 2 0 0', 'header ', 'end '],
  ...['begin 8 6 100', 'header ä.txt', `end ${'x'.repeat(100)}`],
]

test('descriptor: the bytes of the specification', () => {
  assert.equal(encodeFrame(MESSAGE_TYPE.login, 'bob').toString('hex'), '01000300000000000000000000000000626f62')
  assert.equal(encodeDescriptor(MESSAGE_TYPE.login, 0, 0).toString('hex'), `01${'00'.repeat(15)}`)
  assert.equal(encodeDescriptor(9, 0xffff, 2n ** 64n - 1n).toString('hex'), '0900ffff00000000ffffffffffffffff')
  assert.throws(() => encodeDescriptor(1, 0x10000, 0), RangeError)
  assert.throws(() => encodeDescriptor(1, 0, 2n ** 64n), RangeError)
})

test('parser: however the stream is cut, the frames are the same', () => {
  for (let first = 0; first <= stream.length; first++) {
    for (const step of [1, 7, stream.length]) {
      const notes = new Notes()
      const parser = new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX })
      assert.equal(parser.push(stream, 0, first), first)
      for (let at = first; at < stream.length; at += step) {
        const end = Math.min(stream.length, at + step)
        assert.equal(parser.push(stream, at, end), end - at)
      }
      assert.deepEqual(notes.said, told, `cut at ${first}, then every ${step}`)
      assert.equal(parser.inFrame, false)
    }
  }
})

test('parser: goes on elsewhere, wherever it was', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const notes = new Notes()
    const one = new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX })
    one.push(stream, 0, cut)
    const frozen = structuredClone(one.freeze()) as FrozenFrameParser
    const other = new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX }, frozen)
    assert.equal(other.inFrame, one.inFrame)
    other.push(stream, cut)
    assert.deepEqual(notes.said, told, `cut at ${cut}`)
  }
})

test('parser: reserved bytes mean nothing', () => {
  const notes = new Notes()
  const frame = encodeFrame(MESSAGE_TYPE.utf8, '', 'hi')
  frame.fill(0xff, 4, 8)
  new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX }).push(frame)
  assert.deepEqual(notes.said, ['begin 7 0 2', 'header ', 'end hi'])
})

test('parser: a header at the limit is given, one above is read and dropped', () => {
  for (const [bytes, isGiven] of [
    [HEADER_BYTES_MAX, true],
    [HEADER_BYTES_MAX + 1, false],
    [0xffff, false],
  ] as const) {
    const notes = new Notes()
    const parser = new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX })
    const header = 'h'.repeat(bytes)
    parser.push(Buffer.concat([encodeFrame(6, header, 'content'), encodeFrame(2)]))
    const first = isGiven ? [`header ${header}`, 'end content'] : ['end ']
    assert.deepEqual(notes.said, [`begin 6 ${bytes} 7`, ...first, 'begin 2 0 0', 'header ', 'end '])
  }
})

test('parser: what is skipped is not given, and the next frame is found', () => {
  for (const step of [1, 5, 1_000]) {
    const notes = new Notes()
    const parser = new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX })
    notes.course = 'skip'
    const bytes = Buffer.concat([encodeFrame(77, 'what', 'ever'), encodeFrame(78), encodeFrame(2)])
    for (let at = 0; at < bytes.length; at += step) parser.push(bytes.subarray(at, at + step))
    assert.deepEqual(notes.said, ['begin 77 4 4', 'end ', 'begin 78 0 0', 'end ', 'begin 2 0 0', 'end '])
  }
})

test('parser: stopped by its sink, it takes everything and says nothing', () => {
  const notes = new Notes()
  notes.course = 'stop'
  const parser = new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX })
  const bytes = Buffer.concat([encodeDescriptor(7, 0xffff, 2n ** 63n), stream])
  assert.equal(parser.push(bytes), bytes.length)
  assert.equal(parser.push(stream), stream.length)
  assert.deepEqual(notes.said, ['begin 7 65535 9223372036854775808'])
  assert.equal(parser.inFrame, false)
})

test('parser: stopped in the middle of a content, it does not end the frame', () => {
  const notes = new Notes()
  const parser = new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX })
  notes.onContent = () => parser.stop()
  assert.equal(parser.push(stream), stream.length)
  assert.deepEqual(notes.said, told.slice(0, 5))
})

test('parser: holds where its sink says so, and goes on with what it has not taken', () => {
  const notes = new Notes()
  const parser = new FrameParser(notes, { headerBytesMax: HEADER_BYTES_MAX })
  notes.onContent = () => parser.hold()
  const untilHello = 19 + DESCRIPTOR_BYTES + 5
  assert.equal(parser.push(stream), untilHello)
  assert.deepEqual(notes.said, told.slice(0, 6))
  assert.equal(parser.push(stream.subarray(untilHello)), stream.length - untilHello)
  assert.deepEqual(notes.said, told)
})

test('parser: announced lengths allocate nothing', () => {
  const notes = new Notes()
  const parser = new FrameParser(notes, { headerBytesMax: 0xffff })
  parser.push(encodeDescriptor(8, 0xffff, 2n ** 64n - 1n))
  parser.push(Buffer.from('only this'))
  assert.equal(Buffer.from(parser.freeze().part).toString(), 'only this')
  assert.ok(parser.inFrame)
})
