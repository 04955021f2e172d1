import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EchoServer } from '../../net/websocket/recording-output.ts'
import { type Case, expect, failing, passing, runCases, send } from './autobahn.ts'

const KIB = 1024
const MIB = 1024 * KIB
const limits = { messageBytesMax: 16 * MIB }

function bytesOf(pattern: Buffer, length: number): Buffer {
  return Buffer.alloc(length, pattern)
}

const TEXT = Buffer.from('BAsd7&jh23')
const BINARY = Buffer.from('00fe23faf0', 'hex')

function roundTrip(title: string, opcode: 1 | 2, input: readonly Buffer[], payload: Buffer): Case {
  return { ...passing(title, input, [opcode === 1 ? expect.text(payload) : expect.binary(payload)]), limits }
}

// 9.1, 9.2: 64 KiB to 16 MiB in one frame.
const sizes = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB].flatMap((size, index): Case[] => {
  const text = bytesOf(TEXT, size)
  const binary = bytesOf(BINARY, size)
  return [
    roundTrip(`9.1.${index + 1}: text of ${size} bytes`, 1, [send.text(text)], text),
    roundTrip(`9.2.${index + 1}: binary of ${size} bytes`, 2, [send.binary(binary)], binary),
  ]
})

// 9.3, 9.4: 4 MiB in fragments of 64 bytes to 4 MiB.
const fragments = Array.from({ length: 9 }, (_, index): Case[] => {
  const size = 64 * 4 ** index
  const text = bytesOf(Buffer.from('*'), 4 * MIB)
  return [
    roundTrip(`9.3.${index + 1}: text in fragments of ${size} bytes`, 1, send.fragments(1, text, size), text),
    roundTrip(`9.4.${index + 1}: binary in fragments of ${size} bytes`, 2, send.fragments(2, text, size), text),
  ]
}).flat()

// 10.1.1: 64 KiB cut into fragments of 1300 bytes by the sender.
const stars = bytesOf(Buffer.from('*'), 64 * KIB)
const automatic = roundTrip('10.1.1: text in fragments of 1300 bytes', 1, send.fragments(1, stars, 1300), stars)

// Not in the catalogue: the limit itself.
const small = { messageBytesMax: 1000 }
const full = bytesOf(TEXT, 1000)
const tooLarge = { output: [expect.close(1009, 'message too large')], closed: 'closed 1009 message too large' }
const limit: Case[] = [
  { ...passing('limit: exactly full', [send.text(full)], [expect.text(full)]), limits: small },
  { ...passing('limit: fragments, exactly full', send.fragments(1, full, 99), [expect.text(full)]), limits: small },
  { ...failing('limit: one byte more', [send.text(bytesOf(TEXT, 1001))], 1009), ...tooLarge, limits: small },
  {
    ...failing('limit: fragments, one byte more', send.fragments(1, bytesOf(TEXT, 1001), 500), 1009),
    ...tooLarge,
    limits: small,
  },
]

runCases([...sizes, ...fragments, automatic, ...limit])

// 9.5, 9.6: 1 MiB that arrives in pieces of 64 bytes to 2 KiB.
for (let index = 0; index < 6; index++) {
  const size = 64 * 2 ** index
  for (const opcode of [1, 2] as const) {
    test(`autobahn 9.${4 + opcode}.${index + 1}: 1 MiB in pieces of ${size} bytes`, () => {
      const payload = bytesOf(opcode === 1 ? TEXT : BINARY, MIB)
      const server = new EchoServer(limits)
      server.receive(opcode === 1 ? send.text(payload) : send.binary(payload), [size])
      assert.ok(server.output.bytes().equals(opcode === 1 ? expect.text(payload) : expect.binary(payload)))
    })
  }
}

// 9.7, 9.8: a thousand messages, each answered before the next is sent.
for (const [index, size] of [0, 16, 64, 256, 1024, 4096].entries()) {
  for (const opcode of [1, 2] as const) {
    test(`autobahn 9.${6 + opcode}.${index + 1}: a thousand round trips of ${size} bytes`, () => {
      const payload = Buffer.alloc(size, opcode === 1 ? '*' : 0xfe)
      const frame = opcode === 1 ? send.text(payload) : send.binary(payload)
      const answer = opcode === 1 ? expect.text(payload) : expect.binary(payload)
      const server = new EchoServer(limits)
      for (let count = 1; count <= 1000; count++) {
        server.receive(frame)
        assert.equal(server.output.frames.length, count)
        assert.ok(server.output.frames[count - 1]?.equals(answer))
      }
    })
  }
}
