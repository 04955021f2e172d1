import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BinaryType, type BinaryTypeName, binaryHandler, pack } from '../src/binary.ts'
import { HubError } from '../src/hub-error.ts'

const DATA = new Uint8Array([0xff])

function bytes(hex: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
}

function refusalOf(message: Uint8Array): string {
  try {
    binaryHandler.parseMessage(message)
  } catch (error) {
    assert.ok(error instanceof HubError && error.code === 'BINARY_INVALID', String(error))
    return error.message
  }
  throw new Error('it was parsed')
}

test('binary: the layout is that of the protocol', () => {
  assert.deepEqual(binaryHandler.createBinaryDataMessage(DATA), bytes('01 04 00 02 00 00 00 01 7B 7D FF'))
  const { type, payload, metadata } = binaryHandler.parseMessage(bytes('01 04 00 02 00 00 00 01 7B 7D FF 99 99'))
  assert.deepEqual([type, [...payload], metadata], ['BINARY_DATA', [0xff], {}], 'what trails is ignored')
})

test('binary: members that are not known are null, and others are added', () => {
  const { createImageMessage, createAudioMessage, createVideoMessage, parseMessage } = binaryHandler
  const texts = [
    createImageMessage(DATA),
    createImageMessage(DATA.buffer, { format: 'png', width: 2, height: 3, channel: 'signals' }),
    createAudioMessage(DATA, { sample_rate: 48_000, channels: 2 }),
    createVideoMessage(DATA, { fps: 25 }),
  ].map((message) => {
    const { type, metadata } = parseMessage(message)
    return `${type} ${JSON.stringify(metadata)}`
  })
  assert.deepEqual(texts, [
    'IMAGE {"format":"jpeg","width":null,"height":null}',
    'IMAGE {"format":"png","width":2,"height":3,"channel":"signals"}',
    'AUDIO {"format":"wav","sample_rate":48000,"channels":2}',
    'VIDEO {"format":"mp4","width":null,"height":null,"fps":25}',
  ])
})

test('binary: compressed JSON says its sizes, and is read again', async () => {
  const value = { text: 'привет '.repeat(500) }
  const message = binaryHandler.parseMessage(
    await binaryHandler.createCompressedJsonMessage(value, { channel: 'logs' }),
  )
  assert.deepEqual(message.metadata, {
    compression: 'gzip',
    original_size: Buffer.byteLength(JSON.stringify(value)),
    compressed_size: message.payload.length,
    channel: 'logs',
  })
  assert.ok(message.payload.length < 200)
  assert.deepEqual(await binaryHandler.readJson(message), value)
  const damaged = { ...message, payload: message.payload.slice(0, -9) }
  await assert.rejects(binaryHandler.readJson(damaged), {
    code: 'BINARY_INVALID',
    message: /^Invalid compressed JSON: /,
  })
  const strange = { ...message, metadata: { compression: 'lzma' } }
  await assert.rejects(binaryHandler.readJson(strange), {
    code: 'BINARY_INVALID',
    message: /Unsupported compression: lzma/,
  })
})

test('binary: each way to be wrong has its text', () => {
  assert.equal(refusalOf(bytes('')), 'Binary message too short')
  assert.equal(refusalOf(bytes('01 04 00 02 00 00 00')), 'Binary message too short')
  assert.equal(refusalOf(bytes('02 04 00 02 00 00 00 00 7B 7D')), 'Unsupported binary message version: 2')
  assert.equal(refusalOf(bytes('01 00 00 02 00 00 00 00 7B 7D')), 'Invalid binary message type: 0')
  assert.equal(refusalOf(bytes('01 06 00 02 00 00 00 00 7B 7D')), 'Invalid binary message type: 6')
  assert.equal(refusalOf(bytes('01 04 00 02 00 00 00 00 7B')), 'Binary message truncated (metadata)')
  assert.equal(refusalOf(bytes('01 04 00 02 00 00 00 01 7B 7D')), 'Binary message truncated (payload)')
  assert.match(refusalOf(bytes('01 04 00 02 00 00 00 00 7B 7B')), /^Invalid metadata JSON: ./)
  assert.match(refusalOf(bytes('01 04 00 00 00 00 00 00')), /^Invalid metadata JSON: ./)
  assert.match(refusalOf(bytes('01 04 00 04 00 00 00 00 22 FF FF 22')), /^Invalid metadata JSON: ./, 'not UTF-8')
  assert.equal(refusalOf(bytes('01 04 00 02 00 00 00 00 5B 5D')), 'Invalid metadata JSON: expected an object')
})

test('binary: metadata of 65,535 bytes fits, one more does not', () => {
  const metadata = { a: 'x'.repeat(0xffff - '{"a":""}'.length) }
  assert.deepEqual(binaryHandler.parseMessage(binaryHandler.createBinaryDataMessage(DATA, metadata)).metadata, metadata)
  assert.throws(() => binaryHandler.createBinaryDataMessage(DATA, { a: `${metadata.a}x` }), {
    code: 'BINARY_INVALID',
    message: 'Binary metadata too large: 65536 bytes',
  })
})

test('binary: what was packed is unpacked, and no bytes make the parser fail otherwise', () => {
  const names = Object.keys(BinaryType) as BinaryTypeName[]
  const metadata = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)))
  fc.assert(
    fc.property(fc.constantFrom(...names), metadata, fc.uint8Array(), fc.nat(), (type, given, payload, cut) => {
      const packed = pack(type, given, payload)
      const found = binaryHandler.parseMessage(packed)
      assert.equal(found.type, type)
      assert.deepEqual([...found.payload], [...payload])
      assert.equal(JSON.stringify(found.metadata), JSON.stringify(given))
      assert.ok(refusalOf(packed.subarray(0, cut % packed.length)) !== '')
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (garbage) => {
      garbage[0] = 1
      try {
        binaryHandler.parseMessage(garbage)
      } catch (error) {
        assert.ok(error instanceof HubError)
      }
    }),
  )
})
