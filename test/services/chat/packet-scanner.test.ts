import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PacketScanner, type Scanned } from '../../../src/services/chat/packet-scanner.ts'

const BYTES_MAX = 64

interface Heard {
  readonly what: Scanned
  readonly text: string
}

/** Everything a scanner finds in `pieces`; it is moved, that is frozen and thawed, behind those `moves` names. */
function heard(
  pieces: readonly Buffer[],
  bytesMax = BYTES_MAX,
  moves: (piece: number) => boolean = () => false,
): Heard[] {
  let scanner = new PacketScanner(bytesMax)
  const all: Heard[] = []
  for (const [index, bytes] of pieces.entries()) {
    let at = 0
    while (at < bytes.length) {
      const what = scanner.scan(bytes, at)
      assert.ok(scanner.position > at, 'it goes on')
      at = scanner.position
      if (what === 'packet') all.push({ what, text: scanner.bytes.toString('latin1', scanner.start, scanner.end) })
      else if (what !== 'more') all.push({ what, text: '' })
      if (what === 'too_large') return all
    }
    if (moves(index)) scanner = new PacketScanner(bytesMax, structuredClone(scanner.freeze()))
  }
  return all
}

function packets(...texts: readonly string[]): Heard[] {
  return texts.map((text) => ({ what: 'packet' as const, text }))
}

const GARBAGE: Heard = { what: 'garbage', text: '' }
const TOO_LARGE: Heard = { what: 'too_large', text: '' }

test('packet scanner: objects with white space or nothing between them', () => {
  assert.deepEqual(
    heard([Buffer.from(' {"a":1}{}\r\n\t{"b":{"c":{}}}\n ')]),
    packets('{"a":1}', '{}', '{"b":{"c":{}}}'),
  )
})

test('packet scanner: braces, quotes and backslashes in strings count for nothing', () => {
  for (const text of ['{"}":"{"}', '{"a":"\\"}"}', '{"a":"\\\\"}', '{"a\\"}":"\\\\\\"}"}'])
    assert.deepEqual(heard([Buffer.from(`${text}{}`)]), packets(text, '{}'), text)
})

test('packet scanner: an object that was cut behind a backslash leaves nothing behind', () => {
  const pieces = ['{"a":"\\', '\\"}', '{"":', '"}"}'].map((text) => Buffer.from(text))
  assert.deepEqual(heard(pieces), packets('{"a":"\\\\"}', '{"":"}"}'))
})

test('packet scanner: another byte is garbage through the newline, once', () => {
  assert.deepEqual(heard([Buffer.from('hello {"a":1}\n{}}{}\n{}')]), [
    GARBAGE,
    ...packets('{}'),
    GARBAGE,
    ...packets('{}'),
  ])
})

test('packet scanner: a packet may have so many bytes and not one more', () => {
  const object = (bytes: number): Buffer => Buffer.from(`{"a":"${'x'.repeat(bytes - 8)}"}`)
  assert.equal(heard([object(BYTES_MAX)]).length, 1)
  assert.deepEqual(heard([object(BYTES_MAX + 1)]), [TOO_LARGE])
  assert.deepEqual(heard([Buffer.alloc(BYTES_MAX, '{')]), [], 'it is not over before the next byte')
  assert.deepEqual(heard([Buffer.alloc(BYTES_MAX, '{'), Buffer.from('}')]), [TOO_LARGE])
  const line = (bytes: number): Buffer => Buffer.from(`${'g'.repeat(bytes - 1)}\n{}`)
  assert.deepEqual(heard([line(BYTES_MAX)]), [GARBAGE, ...packets('{}')])
  assert.deepEqual(heard([line(BYTES_MAX + 1)]), [GARBAGE, TOO_LARGE])
})

test('packet scanner: a part that came from a shard with a larger limit is too large here', () => {
  const scanner = new PacketScanner(BYTES_MAX)
  scanner.scan(Buffer.alloc(BYTES_MAX, '{'), 0)
  const smaller = new PacketScanner(BYTES_MAX / 2, scanner.freeze())
  assert.equal(smaller.inObject, true)
  assert.equal(smaller.scan(Buffer.from('}'), 0), 'too_large')
})

test('packet scanner: knows whether something has begun', () => {
  const scanner = new PacketScanner(BYTES_MAX)
  const states = ['', ' ', '{', '"', '}', '"}', 'g', 'g', '\n'].map((text) => {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; at = scanner.position) scanner.scan(bytes, at)
    return [scanner.inObject, scanner.unfinished, scanner.begun]
  })
  const [no, object, garbage] = [
    [false, false],
    [true, true],
    [false, true],
  ] as const
  assert.deepEqual(states, [
    [...no, 0],
    [...no, 0],
    [...object, 1],
    [...object, 1],
    [...object, 1],
    [...no, 1],
    [...garbage, 2],
    [...garbage, 2],
    [...no, 2],
  ])
})

/** The same, written down without any cleverness: one byte at a time. */
function expected(bytes: Buffer, bytesMax: number): Heard[] {
  const all: Heard[] = []
  let state: 'between' | 'object' | 'garbage' = 'between'
  let [text, depth, inString, escaped] = ['', 0, false, false]
  for (const byte of bytes) {
    const character = String.fromCharCode(byte)
    if (state === 'between') {
      if (' \t\r\n'.includes(character)) continue
      text = ''
      state = character === '{' ? 'object' : 'garbage'
      if (state === 'garbage') all.push(GARBAGE)
    }
    text += character
    if (text.length > bytesMax) return [...all, TOO_LARGE]
    if (state === 'garbage') {
      if (character === '\n') state = 'between'
      continue
    }
    if (escaped) escaped = false
    else if (inString && character === '\\') escaped = true
    else if (character === '"') inString = !inString
    else if (!inString && character === '{') depth++
    else if (!inString && character === '}') depth--
    if (depth > 0) continue
    all.push({ what: 'packet', text })
    state = 'between'
  }
  return all
}

const stream = fc.oneof(
  { weight: 3, arbitrary: fc.stringMatching(/^[{}"\\ \nab]{0,120}$/) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 120 }) },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }), { maxLength: 12 })
      .map((list) => list.map((one) => JSON.stringify(one)).join('')),
  },
)

test('packet scanner: however a stream is cut and moved, it finds the same', () => {
  fc.assert(
    fc.property(
      stream,
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      fc.boolean(),
      (text, sizes, isMoved) => {
        const bytes = Buffer.from(text)
        const pieces: Buffer[] = []
        for (let at = 0; at < bytes.length; ) {
          const size = sizes[pieces.length % sizes.length] ?? 1
          pieces.push(bytes.subarray(at, at + size))
          at += size
        }
        const wanted = expected(bytes, BYTES_MAX)
        assert.deepEqual(heard([bytes]), wanted)
        assert.deepEqual(
          heard(pieces, BYTES_MAX, (piece) => isMoved && piece % 2 === 0),
          wanted,
        )
      },
    ),
    { numRuns: 2_000 },
  )
})

test('packet scanner: hundreds of packets glued together, cut at every place', () => {
  const texts = Array.from({ length: 300 }, (_, index) => JSON.stringify({ index, text: '}"{\\'.repeat(index % 5) }))
  const bytes = Buffer.from(texts.join(''))
  const wanted = packets(...texts)
  assert.deepEqual(heard([bytes], 65_536), wanted)
  for (let cut = 1; cut < 400; cut++)
    assert.deepEqual(heard([bytes.subarray(0, cut), bytes.subarray(cut)], 65_536).length, wanted.length)
  assert.deepEqual(
    heard(
      Array.from(bytes, (byte) => Buffer.of(byte)),
      65_536,
    ),
    wanted,
  )
})
