// What a service's handler of WebSockets is asked and told beside messages: last words to a message that is too long, and
// pings of its own.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import type { WebSocketHandler } from '../../src/net/handler.ts'
import { OPCODE } from '../../src/net/websocket/frame.ts'
import type { CloseReason } from '../../src/observe/family.ts'
import { FIGURE, figureOf } from '../../src/observe/figure.ts'
import { closedFor } from './http-fixture.ts'
import { Received, turn, until } from './loop-fixture.ts'
import { MoveFixture } from './move-fixture.ts'
import { closePayload, encodeClientFrame } from './websocket/client-frame.ts'
import { decodeServerFrames } from './websocket/server-frame.ts'

const MESSAGE_BYTES_MAX = 1_000
const WHY = '{"error":"Message too large"}'

class Polite {
  readonly said: CloseReason[] = []
  readonly messages: string[] = []
  readonly closed: string[] = []
  readonly handler: WebSocketHandler = {
    message: (_connection, payload) => void this.messages.push(payload.toString()),
    closing: (connection, reason) => {
      this.said.push(reason)
      connection.send(WHY)
    },
    close: (_connection, reason, code) => void this.closed.push(`${reason} ${code}`),
  }
}

function framesOf({ text }: Received): [opcode: number, payload: string][] {
  return decodeServerFrames(Buffer.from(text, 'latin1')).map(({ opcode, payload }) => [
    opcode,
    payload.toString('latin1'),
  ])
}

const LAST_WORDS = [
  [OPCODE.text, WHY],
  [OPCODE.close, closePayload(1009, 'message too large').toString('latin1')],
]

test('closing: a message that is too long is told why before 1009, in one frame, in fragments, compressed', async () => {
  const text = OPCODE.text
  const fragments = (count: number, bytes: number): Buffer[] =>
    Array.from({ length: count }, (_, index) =>
      encodeClientFrame({
        opcode: index === 0 ? text : OPCODE.continuation,
        fin: index === count - 1,
        payload: 'x'.repeat(bytes),
      }),
    )
  const streams: [name: string, bytes: Buffer, deflate: boolean][] = [
    ['one frame', encodeClientFrame({ opcode: text, payload: 'x'.repeat(MESSAGE_BYTES_MAX + 1) }), false],
    // Its header is enough: no byte of it is waited for, let alone kept.
    ['only a header', encodeClientFrame({ opcode: text, payload: '', declaredBytes: 2 ** 40, lengthForm: 64 }), false],
    ['fragments', Buffer.concat(fragments(11, 100)), false],
    ['fragments without end', Buffer.concat(fragments(50, 100).slice(0, -1)), false],
    [
      'a fragment that only says how long it is',
      Buffer.concat([
        encodeClientFrame({ opcode: text, payload: 'x', fin: false }),
        encodeClientFrame({ opcode: OPCODE.ping, payload: '' }),
        encodeClientFrame({
          opcode: OPCODE.continuation,
          payload: '',
          declaredBytes: MESSAGE_BYTES_MAX,
          lengthForm: 16,
        }),
      ]),
      false,
    ],
    [
      'compressed',
      encodeClientFrame({
        opcode: text,
        rsv: 4,
        payload: deflateRawSync('x'.repeat(MESSAGE_BYTES_MAX + 1), { finishFlush: 2 }).subarray(0, -4),
      }),
      true,
    ],
  ]
  for (const [name, bytes, deflate] of streams) {
    const polite = new Polite()
    await using fixture = new MoveFixture({ ws: polite.handler, messageBytesMax: MESSAGE_BYTES_MAX }, { deflate })
    const { client } = await fixture.pair()
    const received = new Received(client)
    client.write(bytes)
    // What comes behind is swallowed, so that nothing of this is lost in a reset.
    client.write(encodeClientFrame({ opcode: text, payload: 'y'.repeat(500) }))
    await until(`the end of ${name}`, () => received.ended)
    assert.deepEqual(
      framesOf(received).filter(([opcode]) => opcode !== OPCODE.pong),
      LAST_WORDS,
      name,
    )
    client.end()
    await until('gone', () => fixture.size === 0)
    assert.deepEqual([polite.said, polite.messages, polite.closed], [['too_large'], [], ['too_large 1009']], name)
    assert.equal(closedFor(fixture, 'too_large'), 1)
    assert.deepEqual(fixture.failures, [])
  }
})

test('closing: not for frames that break a rule, nor behind a good-bye of ours', async () => {
  const tooLong = encodeClientFrame({ opcode: OPCODE.text, payload: 'x'.repeat(MESSAGE_BYTES_MAX + 1) })
  const polite = new Polite()
  await using fixture = new MoveFixture({ ws: polite.handler, messageBytesMax: MESSAGE_BYTES_MAX })
  const bad = await fixture.pair()
  const left = await fixture.pair()
  const ends = [bad, left].map(({ client }) => new Received(client))
  bad.client.write(encodeClientFrame({ opcode: 3 }))
  left.connection.close(1000)
  await until('the good-bye', () => ends[1]?.text !== '')
  left.client.write(tooLong)
  for (const received of ends) await until('the end', () => received.ended)
  assert.deepEqual(
    ends.map(framesOf),
    [1002, 1000].map((code) => [[OPCODE.close, closePayload(code).toString('latin1')]]),
  )
  assert.deepEqual(polite.said, [])
})

test('closing: what it throws is reported, what it closes is closed, and 1009 comes anyway or not at all', async () => {
  const tooLong = encodeClientFrame({ opcode: OPCODE.text, payload: 'x'.repeat(MESSAGE_BYTES_MAX + 1) })
  const words: [WebSocketHandler['closing'], number[]][] = [
    [
      () => {
        throw new Error('on purpose')
      },
      [1009],
    ],
    [(connection) => connection.close(4000), [4000]],
    [(connection) => connection.destroy('server'), []],
  ]
  for (const [closing, codes] of words) {
    await using fixture = new MoveFixture({
      ws: { message: () => {}, ...(closing && { closing }) },
      messageBytesMax: MESSAGE_BYTES_MAX,
    })
    const { client } = await fixture.pair()
    client.on('error', () => {})
    const received = new Received(client)
    client.write(tooLong)
    await until('the end', () => received.ended || client.destroyed)
    assert.deepEqual(
      framesOf(received).map(([, payload]) => Buffer.from(payload, 'latin1').readUInt16BE(0)),
      codes,
    )
    client.end()
    await until('gone', () => fixture.size === 0)
    assert.equal(fixture.failures.length, codes[0] === 1009 ? 1 : 0)
  }
})

test('ping: goes out in order, and its pong comes to the handler', async () => {
  const pongs: string[] = []
  await using fixture = new MoveFixture({
    ws: { message: () => {}, pong: (_connection, payload) => void pongs.push(payload.toString()), thaw: () => {} },
  })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  connection.send('before')
  connection.ping()
  connection.ping(Buffer.from('a'.repeat(125)))
  connection.send('behind')
  await until('all', () => received.text.endsWith('behind'))
  assert.deepEqual(framesOf(received), [
    [OPCODE.text, 'before'],
    [OPCODE.ping, ''],
    [OPCODE.ping, 'a'.repeat(125)],
    [OPCODE.text, 'behind'],
  ])
  assert.throws(() => connection.ping(Buffer.alloc(126)), RangeError)
  client.write(encodeClientFrame({ opcode: OPCODE.pong, payload: 'there' }))
  await until('a pong', () => pongs.length === 1)
  assert.deepEqual(pongs, ['there'])
  const { text } = received
  connection.close()
  connection.ping()
  client.end(encodeClientFrame({ opcode: OPCODE.close, payload: closePayload(1000) }))
  await until('gone', () => fixture.size === 0)
  connection.ping()
  await turn()
  assert.deepEqual(framesOf(received).slice(4), [[OPCODE.close, closePayload(1000).toString('latin1')]])
  assert.ok(received.text.startsWith(text))
})

test('ping: on a stream there is nothing to send', async () => {
  await using fixture = new MoveFixture({ tcp: { data: () => {} } })
  const { client, connection } = await fixture.pair()
  const received = new Received(client)
  connection.ping()
  connection.send('x')
  await until('x', () => received.text === 'x')
  assert.equal(figureOf(fixture.table.row(8), FIGURE.bytesOut), 1)
})
