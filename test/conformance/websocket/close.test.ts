import { encodeClientFrame } from '../../net/websocket/client-frame.ts'
import { type Case, expect, failing, runCases, send } from './autobahn.ts'

const HELLO = 'Hello World!'
const long = Buffer.from('BAsd7&jh23'.repeat(26_215)).subarray(0, 262_144)

/** The client closes; nothing that follows is answered. */
function closing(title: string, close: Buffer, answer: Buffer, closed: string, after: readonly Buffer[] = []): Case {
  return { title, input: [close, ...after], output: [answer], closed }
}

const normal = { close: send.close(), answer: expect.close(1000), closed: 'closed 1000 ' }
const basic: Case[] = [
  {
    title: '7.1.1: a message, a close frame, a message',
    input: [send.text(HELLO), send.close(), send.text(HELLO)],
    output: [expect.text(HELLO), expect.close(1000)],
  },
  closing('7.1.2: two close frames', normal.close, normal.answer, normal.closed, [send.close()]),
  closing('7.1.3: a ping after the close frame', normal.close, normal.answer, normal.closed, [send.ping()]),
  closing('7.1.4: text after the close frame', normal.close, normal.answer, normal.closed, [send.text(HELLO)]),
  {
    title: '7.1.5: a close frame between fragments',
    input: [send.text('fragment1', false), send.close(), send.continuation('fragment2')],
    output: [expect.close(1000)],
  },
  {
    title: '7.1.6: 256 KiB, a message, a close frame, a ping',
    input: [send.text(long), send.text(HELLO), send.close(), send.ping()],
    output: [expect.text(long), expect.text(HELLO), expect.close(1000)],
  },
]

const stars = '*'.repeat(123)
const invalidReason = Buffer.from('cebae1bdb9cf83cebcceb5eda080656469746564', 'hex')
const payloads: Case[] = [
  closing('7.3.1: an empty close frame', encodeClientFrame({ opcode: 8 }), expect.close(), 'closed 1005 '),
  failing('7.3.2: a close frame of one byte', [encodeClientFrame({ opcode: 8, payload: 'a' })], 1002),
  closing('7.3.3: a code', normal.close, normal.answer, normal.closed),
  closing('7.3.4: a code and a reason', send.close(1000, HELLO), normal.answer, `closed 1000 ${HELLO}`),
  closing('7.3.5: the longest reason', send.close(1000, stars), normal.answer, `closed 1000 ${stars}`),
  failing('7.3.6: a reason of 124 bytes', [send.close(1000, `${stars}*`)], 1002),
  failing('7.5.1: a reason that is not UTF-8', [send.close(1000, invalidReason)], 1007),
]

// 1012 to 1014 are registered with IANA since the catalogue was written; ws and we accept them.
const validCodes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999, 1012, 1013, 1014]
const invalidCodes = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 1015]
const codes: Case[] = [
  ...validCodes.map((code, index) =>
    closing(`7.7.${index + 1}: code ${code}`, send.close(code), expect.close(code), `closed ${code} `),
  ),
  ...invalidCodes.map((code, index) => failing(`7.9.${index + 1}: code ${code}`, [send.close(code)], 1002)),
  failing('7.13.1: code 5000', [send.close(5000)], 1002),
  failing('7.13.2: code 65535', [send.close(65_535)], 1002),
]

runCases([...basic, ...payloads, ...codes])
