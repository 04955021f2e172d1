import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import type { Connection } from '../../src/net/connection.ts'
import type { WebSocketHandler } from '../../src/net/handler.ts'
import { encodeDeflatedFrame } from '../../src/net/websocket/deflate.ts'
import { encodeFrame, OPCODE } from '../../src/net/websocket/frame.ts'
import { createStream } from '../conformance/websocket/stream-generator.ts'
import { until } from './loop-fixture.ts'
import { MoveFixture } from './move-fixture.ts'
import { closePayload, encodeClientFrame } from './websocket/client-frame.ts'
import { Random } from './websocket/random.ts'
import { decodeServerFrames, inflateFrame } from './websocket/server-frame.ts'

const LARGE = 'a sentence that repeats itself; '.repeat(100)

/** Everything a stream can be cut in: UTF-8, fragments with a ping between them, deflate, lengths of all forms. */
const RECORDED = Buffer.concat([
  encodeClientFrame({ opcode: OPCODE.text, payload: 'ascii' }),
  encodeClientFrame({ opcode: OPCODE.text, payload: 'é€😀' }),
  encodeClientFrame({ opcode: OPCODE.text, payload: Buffer.from('split 😀').subarray(0, 8), fin: false }),
  encodeClientFrame({ opcode: OPCODE.ping, payload: 'still there?' }),
  encodeClientFrame({ opcode: OPCODE.continuation, payload: Buffer.from('split 😀').subarray(8), fin: false }),
  encodeClientFrame({ opcode: OPCODE.continuation, payload: '' }),
  encodeClientFrame({ opcode: OPCODE.binary, payload: '', lengthForm: 64 }),
  encodeClientFrame({ opcode: OPCODE.binary, payload: Buffer.alloc(130, 7) }),
  encodeClientFrame({ opcode: OPCODE.text, payload: deflated(LARGE), rsv: 4 }),
  encodeClientFrame({ opcode: OPCODE.text, payload: deflated(LARGE).subarray(0, 9), rsv: 4, fin: false }),
  encodeClientFrame({ opcode: OPCODE.continuation, payload: deflated(LARGE).subarray(9) }),
  encodeClientFrame({ opcode: OPCODE.close, payload: closePayload(4001, 'done') }),
])
const ECHOES = ['ascii', 'é€😀', 'split 😀', '', '\x07'.repeat(130), LARGE, LARGE]

function deflated(text: string): Buffer {
  return deflateRawSync(text, { finishFlush: 2 }).subarray(0, -4)
}

interface Log {
  readonly events: string[]
}

function echoTo({ events }: Log): WebSocketHandler<void> {
  return {
    message(connection, payload, isBinary) {
      events.push(`${isBinary ? 'binary' : 'text'} ${payload.toString('latin1')}`)
      connection.send(payload, isBinary)
    },
    pong: (_connection, payload) => void events.push(`pong ${payload.toString('latin1')}`),
    freeze: () => {},
    thaw: () => {},
    close: (_connection, reason, code) => void events.push(`close ${reason} ${code}`),
  }
}

class Client {
  bytes: Buffer = Buffer.alloc(0)
  ended = false

  constructor(socket: Socket) {
    socket.on('data', (data: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, data])
    })
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('error', () => {})
  }
}

interface Course {
  readonly events: readonly string[]
  readonly bytes: Buffer
  readonly moves: number
}

/** Sends a stream in pieces, and moves the connection after each piece that `moves` says so of. */
async function run(
  stream: { bytes: Buffer; deflate: boolean; messageBytesMax: number; pieces: readonly number[] },
  moves: (piece: number) => boolean,
): Promise<Course> {
  const log: Log = { events: [] }
  await using fixture = new MoveFixture(
    { ws: echoTo(log), messageBytesMax: stream.messageBytesMax },
    { deflate: stream.deflate },
  )
  const { client, connection } = await fixture.pair<never>()
  const received = new Client(client)
  let sent = 0
  let count = 0
  for (const [index, piece] of stream.pieces.entries()) {
    client.write(stream.bytes.subarray(sent, sent + piece))
    sent += piece
    await until('the piece is read', () => fixture.bytesIn === sent)
    const there = fixture.at(connection.id)
    if (there?.movable === true && moves(index)) {
      assert.ok((await fixture.move(there as Connection<never>)) !== undefined)
      count++
    }
  }
  client.end()
  await until('the end', () => received.ended && fixture.size === 0)
  assert.deepEqual(fixture.failures, [])
  return { events: log.events, bytes: received.bytes, moves: count }
}

test('web socket move: at every byte of a stream with everything in it', async () => {
  const stream = {
    bytes: RECORDED,
    deflate: true,
    messageBytesMax: 1024 * 1024,
    pieces: Array.from(RECORDED, () => 1),
  }
  const course = await run(stream, () => true)
  // Behind the last byte the connection is closing.
  assert.equal(course.moves, RECORDED.length - 1)
  const frames = decodeServerFrames(course.bytes)
  assert.deepEqual(
    frames.filter(({ opcode }) => opcode <= OPCODE.binary).map((frame) => inflateFrame(frame).toString()),
    ECHOES,
  )
  assert.deepEqual(
    frames.filter(({ opcode }) => opcode > OPCODE.binary).map(({ opcode, payload }) => [opcode, payload.toString()]),
    [
      [OPCODE.pong, 'still there?'],
      [OPCODE.close, closePayload(4001).toString()],
    ],
  )
  assert.equal(course.events.at(-1), 'close client 4001')
})

test('web socket move: streams of all kinds end the same, however often and wherever they move', async (context) => {
  const base = Math.floor(Math.random() * 2 ** 31)
  context.diagnostic(`seeds from ${base}`)
  for (let seed = base; seed < base + 40; seed++) {
    const stream = createStream(seed)
    // A piece is one loopback round trip: streams in very many of them are for the codec's own tests.
    if (stream.pieces.length > 300) continue
    const random = new Random(seed)
    const still = await run(stream, () => false)
    const moving = await run(stream, () => random.oneIn(2))
    assert.deepEqual(moving.events, still.events, `seed ${seed}`)
    assert.deepEqual(moving.bytes, still.bytes, `seed ${seed}`)
  }
})

test('web socket move: a message behind which the handler paused, and the rest, are kept', async () => {
  const seen: string[] = []
  await using fixture = new MoveFixture({
    ws: {
      message(connection, payload) {
        seen.push(payload.toString())
        connection.pause()
      },
      thaw: () => {},
    },
  })
  const { client, connection } = await fixture.pair<never>()
  const words = ['one', 'two', 'three']
  client.write(Buffer.concat(words.map((payload) => encodeClientFrame({ opcode: OPCODE.text, payload }))))
  await until('one', () => seen.length === 1)
  let there: Connection = connection
  for (let n = 1; n <= words.length; n++) {
    assert.deepEqual(seen, words.slice(0, n))
    const next = await fixture.move(there as Connection<never>)
    assert.ok(next?.paused === true)
    there = next
    there.resume()
    if (n < words.length) await until('the next', () => seen.length === n + 1)
  }
})

test('web socket move: a ping that waited behind a slow peer is answered before it', async () => {
  const limits = { sendBufferHighBytes: 64 * 1024, sendBufferLowBytes: 16 * 1024 }
  await using fixture = new MoveFixture({ ws: echoTo({ events: [] }) }, { limits })
  const { client, connection } = await fixture.pair<never>()
  client.pause()
  const total = 8 * 1024 * 1024
  connection.send(Buffer.alloc(total))
  client.write(encodeClientFrame({ opcode: OPCODE.ping, payload: 'first' }))
  client.write(encodeClientFrame({ opcode: OPCODE.ping, payload: 'second' }))
  const pings = encodeClientFrame({ opcode: OPCODE.ping, payload: 'first' }).length * 2 + 1
  await until('pings', () => fixture.bytesIn === pings)
  const moving = fixture.move(connection)
  let bytes = 0
  let last: Buffer = Buffer.alloc(0)
  client.on('data', (data: Buffer) => {
    bytes += data.length
    last = Buffer.concat([last, data]).subarray(-8)
  })
  client.resume()
  assert.ok((await moving) !== undefined)
  await until('the pong', () => bytes === 10 + total + 8)
  assert.deepEqual(decodeServerFrames(last), [
    { opcode: OPCODE.pong, isFinal: true, isCompressed: false, payload: Buffer.from('second') },
  ])
})

test('web socket move: frames for the object left behind travel as the messages they hold', async () => {
  await using fixture = new MoveFixture({ ws: echoTo({ events: [] }) }, { deflate: true })
  const { connection } = await fixture.pair<never>()
  assert.ok((await fixture.move(connection)) !== undefined)
  connection.sendFrame(
    Buffer.concat([
      encodeFrame(Buffer.from('short'), OPCODE.text),
      encodeFrame(Buffer.from('ping'), OPCODE.ping),
      encodeFrame(Buffer.alloc(300, 'b'), OPCODE.binary),
      encodeFrame(Buffer.alloc(70_000, 'c'), OPCODE.binary),
    ]),
  )
  connection.sendFrame(encodeDeflatedFrame(Buffer.from(LARGE), OPCODE.text))
  assert.deepEqual(fixture.forwarded, [
    '1 text short',
    `1 binary ${'b'.repeat(300)}`,
    `1 binary ${'c'.repeat(70_000)}`,
    `1 text ${LARGE}`,
  ])
})

test('web socket move: 100 moves under a flood lose no message and keep the order', async () => {
  let next = 0
  let wrong = 0
  await using fixture = new MoveFixture({
    ws: {
      message(connection, payload) {
        if (Number(payload.toString('latin1')) !== next++) wrong++
        if (!connection.send(payload, false)) connection.pause()
      },
      writable: (connection) => connection.resume(),
      thaw: () => {},
    },
  })
  const { client, connection } = await fixture.pair<never>()
  let echoed = 0
  let rest: Buffer = Buffer.alloc(0)
  client.on('data', (data: Buffer) => {
    const bytes = Buffer.concat([rest, data])
    let offset = 0
    while (offset + 2 <= bytes.length && offset + 2 + (bytes[offset + 1] as number) <= bytes.length) {
      const end = offset + 2 + (bytes[offset + 1] as number)
      if (Number(bytes.toString('latin1', offset + 2, end)) !== echoed++) wrong++
      offset = end
    }
    rest = bytes.subarray(offset)
  })
  let sent = 0
  let flooding = true
  const flood = (): void => {
    if (!flooding) return
    const frames: Buffer[] = []
    for (let n = 0; n < 200; n++) frames.push(encodeClientFrame({ opcode: OPCODE.text, payload: `${sent++}` }))
    if (client.write(Buffer.concat(frames))) setImmediate(flood)
    else client.once('drain', flood)
  }
  flood()
  let there: Connection = connection
  for (let n = 0; n < 100; n++) {
    const moved = await fixture.move(there as Connection<never>)
    assert.ok(moved !== undefined)
    there = moved
  }
  flooding = false
  await until('every echo', () => echoed === sent)
  assert.deepEqual([wrong, next], [0, sent])
  assert.ok(sent > 5_000, `${sent} messages`)
})
