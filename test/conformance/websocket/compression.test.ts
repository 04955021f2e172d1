import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constants, deflateRawSync } from 'node:zlib'
import { checkUpgrade } from '../../../src/net/websocket/handshake.ts'
import { encodeClientFrame } from '../../net/websocket/client-frame.ts'
import { Random } from '../../net/websocket/random.ts'
import { EchoServer } from '../../net/websocket/recording-output.ts'
import { decodeServerFrames, inflateFrame } from '../../net/websocket/server-frame.ts'
import { expect, send } from './autobahn.ts'

// The catalogue sends a thousand messages a case; a few are enough without sockets.
const MESSAGES = 3
const MESSAGES_LARGE = 1
const WINDOW_BITS = 15
const MAX_BYTES = 131_072

interface Sizes {
  readonly messageBytes: number
  /** Fragments of this size; 0 = one frame. */
  readonly fragmentBytes: number
}

const SIZES: Sizes[] = [
  ...[16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, MAX_BYTES].map((messageBytes) => ({
    messageBytes,
    fragmentBytes: 0,
  })),
  ...[8192, 16_384, 32_768, 65_536, MAX_BYTES].map((messageBytes) => ({ messageBytes, fragmentBytes: 256 })),
  ...[1024, 4096, 32_768].map((fragmentBytes) => ({ messageBytes: MAX_BYTES, fragmentBytes })),
]

const random = new Random(12)
const WORDS = ['price', 'room', 'Straße', 'true', '42', 'ünïcode', 'null', 'topic', 'Faust', 'Habe nun, ach!']

function words(start: string, separator: string): Buffer {
  let all = start
  while (Buffer.byteLength(all) < 2 * MAX_BYTES) all += random.pick(WORDS) + separator
  return Buffer.from(all)
}

// Our own stand-ins for the five data sets of the catalogue: the same kinds of redundancy, none of its files.
const DATA = [
  { name: 'JSON', opcode: 1, bytes: words('[{"data":"', '","') },
  { name: 'bitmap', opcode: 2, bytes: Buffer.alloc(2 * MAX_BYTES).map((_, index) => (index >> 5) + random.below(4)) },
  { name: 'German text', opcode: 2, bytes: words('', ' ') },
  { name: 'HTML', opcode: 1, bytes: words('<html><p>', '</p>\n<p class="x">') },
  { name: 'incompressible', opcode: 2, bytes: random.bytes(2 * MAX_BYTES) },
] as const

/** A piece of `bytes` of about `length` bytes that neither begins nor ends within a character. */
function slice(bytes: Uint8Array, start: number, length: number): Buffer {
  let from = start
  let to = start + length
  while (((bytes[from] ?? 0) & 0xc0) === 0x80) from++
  while (((bytes[to] ?? 0) & 0xc0) === 0x80) to++
  return Buffer.from(bytes.subarray(from, to))
}

function compressedFrames(opcode: 1 | 2, message: Uint8Array, fragmentBytes: number, windowBits: number): Buffer {
  const flushed = deflateRawSync(message, { windowBits, level: 1, finishFlush: constants.Z_SYNC_FLUSH })
  const deflated = flushed.subarray(0, flushed.length - 4)
  const size = fragmentBytes === 0 ? deflated.length : fragmentBytes
  const frames: Buffer[] = []
  for (let offset = 0; offset < deflated.length; offset += size) {
    const fin = offset + size >= deflated.length
    const payload = deflated.subarray(offset, offset + size)
    frames.push(encodeClientFrame({ opcode: offset === 0 ? opcode : 0, rsv: offset === 0 ? 4 : 0, fin, payload }))
  }
  return Buffer.concat(frames)
}

function echoAll(data: (typeof DATA)[number], sizes: Sizes, deflate: boolean, clientWindowBits = WINDOW_BITS): void {
  const server = new EchoServer({ deflate })
  const sent: Buffer[] = []
  const pieces = [[100_000], [4096, 1, 1000], [1]]
  const messages = sizes.messageBytes > 20_000 ? MESSAGES_LARGE : MESSAGES
  for (let count = 0; count < messages; count++) {
    const message = slice(data.bytes, random.below(MAX_BYTES - 8), sizes.messageBytes)
    const frames = deflate
      ? compressedFrames(data.opcode, message, sizes.fragmentBytes, clientWindowBits)
      : Buffer.concat(send.fragments(data.opcode, message, sizes.fragmentBytes || message.length))
    server.receive(frames, pieces[count % (frames.length > 20_000 ? 2 : 3)])
    sent.push(message)
  }
  server.receive(send.close())
  const frames = decodeServerFrames(server.output.bytes())
  assert.equal(frames.length, messages + 1)
  for (const [index, message] of sent.entries()) {
    const frame = frames[index]
    assert.ok(frame?.isFinal && frame.opcode === data.opcode)
    // Each message must inflate alone: we promised server_no_context_takeover.
    assert.ok(inflateFrame(frame).equals(message), `message ${index} came back`)
    const pays = deflate && message.length >= 1024 && data.name !== 'incompressible'
    assert.equal(frame.isCompressed, pays, 'compressed where it pays')
    if (frame.isCompressed) assert.ok(frame.payload.length < message.length)
  }
  assert.ok(server.output.frames.at(-1)?.equals(expect.close(1000)))
}

for (const [set, data] of DATA.entries()) {
  for (const [row, sizes] of SIZES.entries()) {
    const what = `${data.name}, ${sizes.messageBytes} bytes, fragments of ${sizes.fragmentBytes}`
    test(`autobahn 12.${set + 1}.${row + 1}: ${what}`, () => echoAll(data, sizes, true))
  }
}

const ANSWER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'
const hint = 'permessage-deflate; client_max_window_bits'
// What an Autobahn client offers, by (server_no_context_takeover, server_max_window_bits). We decline a window of 9: a
// compressed frame is shared by all subscribers. Then all goes on uncompressed, or a later offer is taken.
const OFFERS = [
  { offer: hint, answer: ANSWER },
  { offer: `${hint}; server_no_context_takeover`, answer: ANSWER },
  { offer: `${hint}; server_max_window_bits=9`, answer: undefined },
  { offer: `${hint}; server_max_window_bits=15`, answer: `${ANSWER}; server_max_window_bits=15` },
  { offer: `${hint}; server_no_context_takeover; server_max_window_bits=9`, answer: undefined },
  {
    offer: `${hint}; server_no_context_takeover; server_max_window_bits=15`,
    answer: `${ANSWER}; server_max_window_bits=15`,
  },
  {
    offer: [
      `${hint}; server_no_context_takeover; server_max_window_bits=9`,
      `${hint}; server_no_context_takeover`,
      hint,
    ].join(', '),
    answer: ANSWER,
  },
]

for (const [set, { offer, answer }] of OFFERS.entries()) {
  const headers = {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
    'sec-websocket-extensions': offer,
  }
  for (const [row, sizes] of SIZES.entries()) {
    const outcome = answer === undefined ? 'declined' : 'accepted'
    test(`autobahn 13.${set + 1}.${row + 1}: ${offer} is ${outcome}; ${sizes.messageBytes} bytes`, () => {
      const upgrade = checkUpgrade({ method: 'GET', headers }, true)
      assert.ok(upgrade.accept)
      const line = /Sec-WebSocket-Extensions: (.*)\r\n/.exec(upgrade.response)?.[1]
      assert.equal(line, answer)
      assert.equal(upgrade.deflate, answer !== undefined)
      // A client may use any window it likes; ours inflates with the largest.
      echoAll(DATA[0], sizes, upgrade.deflate, set % 2 === 0 ? 9 : WINDOW_BITS)
    })
  }
}
