import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as ws from 'ws'
import { isWireCloseCode } from '../../../src/net/websocket/close-code.ts'
import {
  CLOSE_REASON_BYTES_MAX,
  encodeCloseFrame,
  encodeFrame,
  encodeFrameHeader,
  FRAME_HEADER_BYTES_MAX,
  frameHeaderBytes,
  OPCODE,
} from '../../../src/net/websocket/frame.ts'

// @types/ws does not know this export of ws.
interface Sender {
  frame(data: Uint8Array, options: object): Buffer[]
}
const { Sender } = ws as unknown as { Sender: Sender }

test('frame: every length is encoded as ws does', () => {
  for (const length of [0, 1, 125, 126, 127, 255, 256, 65_535, 65_536, 65_537, 1_000_000]) {
    for (const rsv1 of [false, true]) {
      const payload = Buffer.alloc(length, 0xa5)
      const oracle = Sender.frame(payload, { fin: true, rsv1, opcode: 2, mask: false, readOnly: true })
      assert.ok(encodeFrame(payload, OPCODE.binary, rsv1).equals(Buffer.concat(oracle)), `${length} bytes`)
    }
  }
})

test('frame: a header says how long it is, and writes nothing else', () => {
  for (const length of [0, 125, 126, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7]) {
    const target = new Uint8Array(FRAME_HEADER_BYTES_MAX + 4).fill(0x77)
    const headerBytes = encodeFrameHeader(target, 2, OPCODE.text, length, false)
    assert.equal(headerBytes, frameHeaderBytes(length))
    assert.deepEqual([...target.subarray(0, 2)], [0x77, 0x77])
    assert.ok(target.subarray(2 + headerBytes).every((byte) => byte === 0x77))
    const view = new DataView(target.buffer)
    const declared =
      headerBytes === 2 ? view.getUint8(3) : headerBytes === 4 ? view.getUint16(4) : Number(view.getBigUint64(4))
    assert.equal(declared, length)
  }
})

test('frame: a close frame without a code is empty', () => {
  assert.equal(encodeCloseFrame().toString('hex'), '8800')
  assert.equal(encodeCloseFrame(1005, 'ignored').toString('hex'), '8800')
})

test('frame: a close frame has a code and a reason', () => {
  assert.equal(encodeCloseFrame(1000).toString('hex'), '880203e8')
  assert.equal(encodeCloseFrame(4999, 'é').toString('hex'), '88041387c3a9')
})

test('frame: a long close reason is cut at a character', () => {
  const full = encodeCloseFrame(1001, 'a'.repeat(CLOSE_REASON_BYTES_MAX + 1))
  assert.equal(full.length, 4 + CLOSE_REASON_BYTES_MAX)
  const cut = encodeCloseFrame(1001, `${'a'.repeat(CLOSE_REASON_BYTES_MAX - 1)}é`)
  assert.equal(cut.length, 4 + CLOSE_REASON_BYTES_MAX - 1)
  assert.equal(cut[1], cut.length - 2)
})

test('frame: a close code that may not be sent is a bug', () => {
  for (const code of [0, 999, 1004, 1006, 1015, 2000, 5000]) {
    assert.throws(() => encodeCloseFrame(code), { name: 'AssertionError' })
  }
})

test('close code: the set is the one of ws', () => {
  // ws refuses to send what it refuses to receive.
  const sender = new (ws as unknown as { Sender: new (socket: object) => { close(code: number): void } }).Sender({
    write: () => true,
    cork: () => undefined,
    uncork: () => undefined,
  })
  for (let code = 0; code <= 65_535; code++) {
    let isAccepted = true
    try {
      sender.close(code)
    } catch {
      isAccepted = false // ws throws a TypeError for a code it does not accept
    }
    if (isWireCloseCode(code) !== isAccepted) assert.fail(`code ${code}`)
  }
})
