import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeDeflatedFrame } from '../../../src/net/websocket/deflate.ts'
import { encodeFrame, OPCODE } from '../../../src/net/websocket/frame.ts'
import { closePayload, encodeClientFrame } from './client-frame.ts'
import { EchoServer } from './recording-output.ts'
import { decodeServerFrames, inflateFrame } from './server-frame.ts'

const text = (payload: string): Buffer => encodeClientFrame({ opcode: 1, payload })
const ping = (payload: string): Buffer => encodeClientFrame({ opcode: 9, payload })
const close = (code: number, reason = ''): Buffer =>
  encodeClientFrame({ opcode: 8, payload: closePayload(code, reason) })

function written(server: EchoServer): string[] {
  return server.output.frames.map((frame) => frame.toString('latin1'))
}

test('protocol: the peer closes, and is answered with its code', () => {
  const server = new EchoServer()
  server.receive(close(4321, 'bye'))
  assert.equal(server.protocol.state, 'closed')
  assert.equal(server.output.bytes().toString('hex'), '880210e1')
  assert.ok(server.output.isFinished && !server.output.isAwaitingClose)
  assert.deepEqual(server.events, ['closed 4321 bye'])
})

test('protocol: we close, and wait for the answer', () => {
  const server = new EchoServer()
  server.protocol.sendClose(1001, 'server shutting down')
  assert.equal(server.protocol.state, 'closing')
  assert.ok(server.output.isAwaitingClose && !server.output.isFinished)
  assert.equal(server.protocol.send('late'), false)
  assert.equal(server.protocol.sendEncoded(encodeFrame(Buffer.from('late'), OPCODE.text)), false)
  assert.equal(server.protocol.sendPing(Buffer.from('late')), false)
  // The peer did not know yet: its messages and pings are read and dropped.
  server.receive(Buffer.concat([text('crossed'), ping('crossed'), encodeClientFrame({ opcode: 10 })]))
  assert.deepEqual(server.events, [])
  server.receive(close(1001))
  assert.equal(server.protocol.state, 'closed')
  assert.ok(server.output.isFinished)
  assert.equal(server.output.frames.length, 1)
  assert.deepEqual(server.events, ['closed 1001 '])
})

test('protocol: the output is told who ended it, and with what', () => {
  const ends: [string, (server: EchoServer) => void][] = [
    ['peer 1000', (server) => server.receive(close(1000))],
    ['peer 1005', (server) => server.receive(encodeClientFrame({ opcode: 8 }))],
    ['us 1002', (server) => server.receive(close(999))],
    ['us 1007', (server) => server.receive(close(1000, '\ud800').fill(0xff, 8))],
    ['us 1009', (server) => server.receive(encodeClientFrame({ opcode: 1, declaredBytes: 2_000_000 }))],
    ['us 1001', (server) => server.protocol.drop(1001)],
  ]
  for (const [expected, end] of ends) {
    const server = new EchoServer()
    end(server)
    assert.equal(server.output.finishedBy, expected)
    assert.equal(server.events.length, 1)
  }
})

test('protocol: a second close, and a close after the end, do nothing', () => {
  const server = new EchoServer()
  server.protocol.sendClose()
  server.protocol.sendClose(1011)
  assert.equal(server.output.bytes().toString('hex'), '8800')
  server.protocol.lost()
  server.protocol.sendClose()
  server.protocol.drop(1001)
  server.protocol.lost()
  assert.deepEqual(server.events, ['closed 1006 '])
  assert.equal(server.output.frames.length, 1)
})

test('protocol: without an answer the connection is lost with 1006', () => {
  const server = new EchoServer()
  server.protocol.sendClose(1000)
  server.protocol.lost()
  assert.deepEqual(server.events, ['closed 1006 '])
})

test('protocol: a drop says why and does not wait', () => {
  const server = new EchoServer()
  server.protocol.drop(1001, 'idle timeout')
  assert.ok(server.output.isFinished && !server.output.isAwaitingClose)
  assert.equal(server.output.bytes().subarray(4).toString(), 'idle timeout')
  assert.deepEqual(server.events, ['closed 1001 idle timeout'])
})

test('protocol: a failure while closing sends no second close frame', () => {
  const server = new EchoServer()
  server.protocol.sendClose(1000)
  server.receive(Buffer.of(0x83, 0x80))
  assert.equal(server.output.frames.length, 1)
  assert.ok(server.output.isFinished)
  assert.deepEqual(server.events, ['closed 1002 '])
})

test('protocol: a handler may close or drop from within a message', () => {
  for (const how of ['sendClose', 'drop'] as const) {
    const server = new EchoServer()
    server.message = () => {
      server.events.push('message')
      server.protocol[how](1003, 'binary frames are not supported')
    }
    server.receive(Buffer.concat([text('one'), text('two'), close(1003)]))
    assert.deepEqual(written(server).length, 1)
    assert.equal(server.events[0], 'message')
    assert.equal(server.events.length, 2)
    assert.ok(server.output.isFinished)
  }
})

test('protocol: pings are answered, as control frames, and reported', () => {
  const server = new EchoServer()
  server.receive(Buffer.concat([ping('a'), text('m'), ping('b'), encodeClientFrame({ opcode: 10, payload: 'c' })]))
  assert.deepEqual(written(server), ['\x8a\x01a', '\x81\x01m', '\x8a\x01b'])
  assert.equal(server.output.controls, 2)
  assert.deepEqual(server.events, ['ping a', 'message 1', 'ping b', 'pong c'])
})

test('protocol: while output is backed up only the latest ping is remembered', () => {
  const server = new EchoServer()
  server.output.isCongested = true
  server.receive(Buffer.concat([ping('1'), ping('2'), ping('3')]))
  assert.deepEqual(written(server), [])
  server.output.isCongested = false
  server.protocol.drained()
  server.protocol.drained()
  assert.deepEqual(written(server), ['\x8a\x013'])
  // A newer ping that was answered leaves nothing to answer.
  server.output.isCongested = true
  server.receive(ping('4'))
  server.output.isCongested = false
  server.receive(ping('5'))
  server.protocol.drained()
  assert.deepEqual(written(server).slice(1), ['\x8a\x015'])
})

test('protocol: an unanswered ping is forgotten when the connection closes', () => {
  const server = new EchoServer()
  server.output.isCongested = true
  server.receive(ping('1'))
  server.protocol.sendClose(1000)
  server.protocol.drained()
  assert.equal(server.output.frames.length, 1)
})

test('protocol: a paused handler gets nothing more until it is pushed again', () => {
  const server = new EchoServer()
  const bytes = Buffer.concat([text('one'), text('two')])
  server.output.isPaused = true
  const consumed = server.protocol.push(bytes, 0, bytes.length)
  assert.equal(consumed, text('one').length)
  server.output.isPaused = false
  assert.equal(server.protocol.push(bytes, consumed, bytes.length), bytes.length - consumed)
  assert.deepEqual(written(server), ['\x81\x03one', '\x81\x03two'])
})

test('protocol: after the end input is swallowed', () => {
  const server = new EchoServer()
  server.protocol.lost()
  assert.equal(server.protocol.push(text('late'), 0, 10), 10)
  assert.deepEqual(server.events, ['closed 1006 '])
})

test('protocol: what is sent is compressed from 1024 bytes on, if it shrinks', () => {
  const server = new EchoServer({ deflate: true })
  const noise = Buffer.from(Array.from({ length: 1024 }, (_, index) => (index * index * 31) ^ (index >> 3)))
  const payloads = [Buffer.alloc(1023, 'x'), Buffer.alloc(1024, 'x'), noise]
  for (const payload of payloads) server.protocol.send(payload, true)
  const frames = decodeServerFrames(server.output.bytes())
  assert.deepEqual(frames.map((frame) => frame.isCompressed).slice(0, 2), [false, true])
  for (const [index, frame] of frames.entries()) {
    assert.ok(inflateFrame(frame).equals(payloads[index] ?? Buffer.alloc(0)))
    assert.ok(frame.payload.length <= 1024)
  }
})

test('protocol: a compressed frame is encoded once for all', () => {
  const payload = Buffer.from('polyloop '.repeat(1000))
  const frame = encodeDeflatedFrame(payload, OPCODE.text)
  const servers = [new EchoServer({ deflate: true }), new EchoServer({ deflate: true })]
  for (const server of servers) {
    assert.ok(server.protocol.sendEncoded(frame))
    const [only] = decodeServerFrames(server.output.bytes())
    assert.ok(only?.isCompressed && inflateFrame(only).equals(payload))
  }
  assert.ok(encodeDeflatedFrame(Buffer.from('short'), OPCODE.text).equals(Buffer.from('\x81\x05short', 'latin1')))
})

test('protocol: moves to another thread with its state, its partial message and its unanswered ping', () => {
  const before = new EchoServer()
  before.output.isCongested = true
  const message = text('over two threads')
  before.receive(Buffer.concat([ping('unanswered'), message.subarray(0, 9)]))
  const after = new EchoServer({}, structuredClone(before.protocol.freeze()))
  after.protocol.drained()
  after.receive(message.subarray(9))
  assert.deepEqual(written(after), ['\x8a\x0aunanswered', '\x81\x10over two threads'])

  after.protocol.sendClose(1012, 'service restart')
  const closing = new EchoServer({}, structuredClone(after.protocol.freeze()))
  assert.equal(closing.protocol.state, 'closing')
  closing.receive(close(1012))
  assert.deepEqual(closing.events, ['closed 1012 '])
  assert.equal(closing.output.frames.length, 0)
})
