import { encodeClientFrame } from '../../net/websocket/client-frame.ts'
import { type Case, expect, failing, passing, runCases, send } from './autobahn.ts'

const HELLO = 'Hello, world!'
const BYTES = Buffer.from('00fffefdfcfb00ff', 'hex')
const LENGTHS = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536]

// 1 framing. 1.x.8 repeats 1.x.7 in pieces of 997 bytes; here every case is cut up anyway.
const framing = LENGTHS.flatMap((length, index): Case[] => {
  const stars = Buffer.alloc(length, '*')
  const bytes = Buffer.alloc(length, 0xfe)
  return [
    passing(`1.1.${index + 1}: text of ${length} bytes`, [send.text(stars)], [expect.text(stars)]),
    passing(`1.2.${index + 1}: binary of ${length} bytes`, [send.binary(bytes)], [expect.binary(bytes)]),
  ]
})

const tenPings = Array.from({ length: 10 }, (_, index) => `payload-${index}`)
const long = Buffer.alloc(125, 0xfe)
const pings: Case[] = [
  passing('2.1: ping without payload', [send.ping()], [expect.pong()]),
  passing('2.2: ping with text', [send.ping(HELLO)], [expect.pong(HELLO)]),
  passing('2.3: ping with bytes', [send.ping(BYTES)], [expect.pong(BYTES)]),
  passing('2.4: ping of 125 bytes', [send.ping(long)], [expect.pong(long)]),
  failing('2.5: ping of 126 bytes', [send.ping(Buffer.alloc(126, 0xfe))], 1002),
  passing('2.6: ping of 125 bytes, byte by byte', [send.ping(long)], [expect.pong(long)]),
  passing('2.7: pong without payload', [send.pong()], []),
  passing('2.8: pong with payload', [send.pong('unsolicited')], []),
  passing('2.9: pong, then ping', [send.pong('unsolicited'), send.ping('ping')], [expect.pong('ping')]),
  passing(
    '2.10: ten pings',
    tenPings.map((payload) => send.ping(payload)),
    tenPings.map((payload) => expect.pong(payload)),
  ),
  passing(
    '2.11: ten pings, byte by byte',
    tenPings.map((one) => send.ping(one)),
    tenPings.map((one) => expect.pong(one)),
  ),
]

// 3 reserved bits, 4 reserved opcodes: what comes before is served, the ping behind gets no pong (see `failing`).
const hello = { sent: send.text(HELLO), back: expect.text(HELLO) }
const reservedBits: Case[] = [
  failing('3.1: text with RSV 1', [encodeClientFrame({ opcode: 1, payload: HELLO, rsv: 1 })], 1002),
  ...[2, 3, 4].map((rsv) =>
    failing(
      `3.${rsv}: text, then text with RSV ${rsv}`,
      [hello.sent, encodeClientFrame({ opcode: 1, payload: HELLO, rsv })],
      1002,
      [hello.back],
    ),
  ),
  failing('3.5: binary with RSV 5', [encodeClientFrame({ opcode: 2, payload: BYTES, rsv: 5 })], 1002),
  failing('3.6: ping with RSV 6', [encodeClientFrame({ opcode: 9, payload: HELLO, rsv: 6 })], 1002),
  failing('3.7: close with RSV 7', [encodeClientFrame({ opcode: 8, rsv: 7 })], 1002),
]

const reservedOpcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode, index) => {
  const number = `4.${opcode < 8 ? 1 : 2}.${(index % 5) + 1}`
  const payload = index % 2 === 0 ? '' : 'reserved opcode payload'
  const frame = encodeClientFrame({ opcode, payload })
  // The first two of each five come alone, the others behind a message.
  const alone = index % 5 < 2
  return failing(`${number}: opcode ${opcode}`, alone ? [frame] : [hello.sent, frame], 1002, alone ? [] : [hello.back])
})

const two = [send.text('fragment1', false), send.continuation('fragment2')] as const
const joined = expect.text('fragment1fragment2')
const withPing = [two[0], send.ping('ping payload'), two[1]]
const orphan = send.continuation('non-continuation payload')
const openOrphan = send.continuation('non-continuation payload', false)
const five = [
  send.text('fragment1', false),
  send.continuation('fragment2', false),
  send.ping('pongme 1!'),
  send.continuation('fragment3', false),
  send.continuation('fragment4', false),
  send.ping('pongme 2!'),
  send.continuation('fragment5'),
]
const fiveBack = [
  expect.pong('pongme 1!'),
  expect.pong('pongme 2!'),
  expect.text('fragment1fragment2fragment3fragment4fragment5'),
]
const fragmentation: Case[] = [
  failing('5.1: fragmented ping', [send.ping('fragment1', false), send.continuation('fragment2')], 1002),
  failing('5.2: fragmented pong', [send.pong('fragment1', false), send.continuation('fragment2')], 1002),
  ...[3, 4, 5].map((number) => passing(`5.${number}: text in two fragments`, two, [joined])),
  ...[6, 7, 8].map((number) =>
    passing(`5.${number}: a ping between two fragments`, withPing, [expect.pong('ping payload'), joined]),
  ),
  ...[9, 10, 11].map((number) => failing(`5.${number}: continuation of nothing, final`, [orphan, hello.sent], 1002)),
  ...[12, 13, 14].map((number) => failing(`5.${number}: continuation of nothing`, [openOrphan, hello.sent], 1002)),
  failing('5.15: continuation behind a complete message', [...two, openOrphan, hello.sent], 1002, [joined]),
  failing('5.16: continuation of nothing, then fragments', [openOrphan, ...two, openOrphan, ...two], 1002),
  failing('5.17: final continuation of nothing, then fragments', [orphan, ...two, orphan, ...two], 1002),
  failing('5.18: two text frames as fragments', [two[0], send.text('fragment2')], 1002),
  passing('5.19: five fragments with two pings', five, fiveBack),
  passing('5.20: five fragments with two pings, frame by frame', five, fiveBack),
]

runCases([...framing, ...pings, ...reservedBits, ...reservedOpcodes, ...fragmentation])
