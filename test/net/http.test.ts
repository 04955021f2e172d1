// HTTP connections on a loop: what is answered, what waits, what ends it.
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { HTTP_SILENT_MS_MAX } from '../../src/net/http-framing.ts'
import { remoteOf, sessionKeyOf } from '../../src/net/http-stream.ts'
import { chunked, closedFor, echo, figure, get, HEAD_MS, open, post, statusesOf, TICK_MS } from './http-fixture.ts'
import { turn, until } from './loop-fixture.ts'
import { MoveFixture } from './move-fixture.ts'

test('http: requests on one connection are answered and counted; the handler sees who asks', async () => {
  const seen: unknown[] = []
  await using fixture = new MoveFixture({
    http(request, response) {
      const { encrypted } = request.socket as unknown as { encrypted: boolean }
      seen.push([remoteOf(request).address, remoteOf(request).port, sessionKeyOf(request), encrypted])
      echo(request, response)
    },
  })
  const { client, bodies, received } = await open(fixture)
  client.write(get('/one'))
  await until('one', () => bodies().length === 1)
  client.write(post('/two', 'body'))
  await until('two', () => bodies().length === 2)
  client.write(chunked('/three', 'in', ' two'))
  await until('three', () => bodies().length === 3)
  assert.deepEqual(bodies(), ['GET /one ', 'POST /two body', 'PUT /three in two'])
  assert.deepEqual(new Set(seen.map(String)), new Set([`127.0.0.1,${client.localPort},chat:1,false`]))
  assert.match(received.text, /Keep-Alive: timeout=60/)
  await until('counted', () => figure(fixture, 'messagesOut') === 3)
  assert.equal(figure(fixture, 'messagesIn'), 3)
  client.end()
  await until('the end', () => fixture.size === 0)
  assert.equal(closedFor(fixture, 'client'), 1)
})

test('http: requests may come in any pieces, glued or byte by byte', async () => {
  await using fixture = new MoveFixture({ http: echo })
  const asked = [
    get('/a'),
    post('/b', 'x\r\n\r\ny'),
    chunked('/c', '\r\n\r\n', 'z'.repeat(300), '0\r\n\r\n'),
    post('/d', ''),
    get('/e'),
  ]
  const want = ['GET /a ', 'POST /b x\r\n\r\ny', `PUT /c \r\n\r\n${'z'.repeat(300)}0\r\n\r\n`, 'POST /d ', 'GET /e ']
  const all = asked.join('')
  for (const pieceBytes of [all.length, 1, 2, 3, 7, 64]) {
    const { client, bodies } = await open(fixture)
    client.setNoDelay(true)
    for (let at = 0; at < all.length; at += pieceBytes) {
      client.write(all.slice(at, at + pieceBytes), 'latin1')
      await turn()
    }
    await until(`answers to pieces of ${pieceBytes}`, () => bodies().length === want.length)
    assert.deepEqual(bodies(), want)
    client.destroy()
  }
})

test('http: one request at a time; what is pipelined waits for the answer before it', async () => {
  const open_: ServerResponse[] = []
  await using fixture = new MoveFixture({ http: (_request, response) => void open_.push(response) })
  const { client, connection, bodies } = await open(fixture)
  client.write(get('/1') + get('/2') + get('/3'))
  await until('the first', () => open_.length === 1)
  await until('the rest waits', () => connection.paused)
  open_[0]?.end('1')
  await until('the second', () => open_.length === 2)
  open_[1]?.end('2')
  await until('the third', () => open_.length === 3)
  open_[2]?.end('3')
  await until('answers', () => bodies().length === 3)
  assert.deepEqual(bodies(), ['1', '2', '3'])
})

test('http: a first head that is late ends the connection; so does a later one', async () => {
  await using fixture = new MoveFixture({ http: echo })
  const { client, received, bodies } = await open(fixture)
  client.write('GET / HTTP/1.1\r\nHost: a\r\n')
  await until('half a head', () => fixture.bytesIn > 0)
  fixture.timers.run(HEAD_MS - 1)
  await turn()
  assert.equal(fixture.size, 1)
  fixture.timers.run(TICK_MS)
  await until('the end', () => received.ended || client.destroyed)
  assert.equal(closedFor(fixture, 'head_timeout'), 1)

  const second = await open(fixture)
  second.client.write(get('/'))
  await until('an answer', () => second.bodies().length === 1)
  // Between two requests there is no head to wait for.
  fixture.timers.run(HEAD_MS + 1)
  await turn()
  assert.equal(fixture.size, 1)
  const before = fixture.bytesIn
  second.client.write('G')
  await until('a byte', () => fixture.bytesIn > before)
  fixture.timers.run(HEAD_MS - 1)
  await turn()
  assert.equal(fixture.size, 1)
  fixture.timers.run(TICK_MS)
  await until('the end', () => fixture.size === 0)
  assert.equal(closedFor(fixture, 'head_timeout'), 2)
  assert.deepEqual(bodies(), [])
})

test('http: a connection that asks nothing more is closed after its keep-alive', async () => {
  await using fixture = new MoveFixture({ http: echo })
  const { client, received, bodies } = await open(fixture)
  client.write(get('/'))
  await until('an answer', () => bodies().length === 1)
  fixture.timers.run(HTTP_SILENT_MS_MAX - 1_000)
  await turn()
  assert.equal(received.ended, false)
  fixture.timers.run(2_000)
  await until('the end', () => received.ended)
  client.end()
  await until('gone', () => fixture.size === 0)
  assert.equal(closedFor(fixture, 'idle_timeout'), 1)
})

test('http: a body that stalls gets 408; a handler that takes its time is waited for', async () => {
  const late: ServerResponse[] = []
  await using fixture = new MoveFixture({
    http(request, response) {
      if (request.url === '/late') late.push(response)
      else echo(request, response)
    },
  })
  const stalled = await open(fixture)
  stalled.client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
  const waiting = await open(fixture)
  waiting.client.write(get('/late'))
  await until('asked', () => late.length === 1 && figure(fixture, 'messagesIn') === 2)
  fixture.timers.run(HTTP_SILENT_MS_MAX + 1_000)
  await until('408', () => stalled.received.ended)
  assert.deepEqual(statusesOf(stalled.received.text), [408])
  fixture.timers.run(3 * HTTP_SILENT_MS_MAX)
  await turn()
  late[0]?.end('at last')
  await until('an answer', () => waiting.bodies().length === 1)
  assert.deepEqual(waiting.bodies(), ['at last'])
})

test('http: 431, 400 and 417 for what is no request, with the connection closed', async () => {
  await using fixture = new MoveFixture({ http: echo })
  const bad: [string, number][] = [
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17 * 1024)}\r\n\r\n`, 431],
    [`GET /${'x'.repeat(17 * 1024)} HTTP/1.1\r\n`, 431],
    ['hello\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\n\r\n', 400],
    [`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
    ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 400],
    [get('/', 'Expect: something\r\n'), 417],
  ]
  for (const [text, status] of bad) {
    const { client, received } = await open(fixture)
    client.write(text)
    await until(`the end of ${text.slice(0, 20)}`, () => received.ended)
    assert.deepEqual(statusesOf(received.text), [status], text.slice(0, 60))
    assert.match(received.text, /connection: close/i)
    client.end()
  }
  await until('gone', () => fixture.size === 0)
  assert.equal(figure(fixture, 'closed'), bad.length)
})

test('http: a handler that throws or rejects costs its request a 500, or its connection', async () => {
  await using fixture = new MoveFixture({
    async http(request, response) {
      if (request.url === '/written') response.write('begun')
      if (request.url === '/later') await turn()
      throw new Error(`no ${request.url}`)
    },
  })
  for (const path of ['/now', '/later']) {
    const { client, received } = await open(fixture)
    client.write(get(path))
    await until('500', () => received.ended)
    assert.deepEqual(statusesOf(received.text), [500])
    client.end()
  }
  const { client } = await open(fixture)
  client.write(get('/written'))
  await until('gone', () => fixture.size === 0)
  client.end()
  assert.equal(closedFor(fixture, 'handler_error'), 1)
  assert.deepEqual(fixture.failures.map(String), ['Error: no /now', 'Error: no /later', 'Error: no /written'])
})

test('http: what a handler throws behind its answer is reported, a client that went away is not', async () => {
  await using fixture = new MoveFixture({
    async http(request, response) {
      if (request.url === '/answered') response.end('done')
      for await (const _chunk of request);
      throw new Error('on purpose')
    },
  })
  const { client, bodies, connection } = await open(fixture)
  client.write(get('/answered'))
  await until('reported', () => fixture.failures.length === 1)
  client.write(get('/answered'))
  await until('both', () => bodies().length === 2 && fixture.failures.length === 2)
  assert.equal(connection.open, true)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
  await until('asked', () => figure(fixture, 'messagesIn') === 3)
  client.resetAndDestroy()
  await until('gone', () => fixture.size === 0)
  await turn()
  assert.equal(fixture.failures.length, 2)
})

test('http: a half-close still gets its answer, then the end', async () => {
  const late: ServerResponse[] = []
  await using fixture = new MoveFixture({ http: (_request, response) => void late.push(response) })
  const { client, received, bodies } = await open(fixture)
  client.end(get('/'))
  await until('asked', () => late.length === 1)
  await turn()
  late[0]?.end('answer')
  await until('the end', () => received.ended)
  assert.deepEqual(bodies(), ['answer'])
  const cut = await open(fixture)
  cut.client.end('GET / HTTP/1.1\r\nHo')
  await until('400', () => cut.received.ended)
  assert.deepEqual(statusesOf(cut.received.text), [400])
  await until('gone', () => fixture.size === 0)
})

test('http: a client that goes away ends its request', async () => {
  const ends: string[] = []
  await using fixture = new MoveFixture({
    http(request: IncomingMessage, response: ServerResponse) {
      request.on('close', () => ends.push('request'))
      response.on('close', () => ends.push(`response ${response.writableFinished}`))
    },
  })
  const { client } = await open(fixture)
  client.write(get('/'))
  await until('asked', () => figure(fixture, 'messagesIn') === 1)
  client.resetAndDestroy()
  await until('the end', () => ends.length === 2)
  assert.ok(ends.includes('response false'))
  assert.equal(figure(fixture, 'messagesOut'), 0)
})

test('http: an answer that nobody reads is bounded, and a stream of it is held back', async () => {
  const chunk = Buffer.alloc(64 * 1024)
  let written = 0
  await using fixture = new MoveFixture(
    {
      http(request, response) {
        const more = (): void => {
          while (written < 1000) {
            written++
            if (!response.write(chunk) && request.url === '/polite') return
          }
          response.end()
        }
        response.on('drain', more)
        more()
      },
    },
    { limits: { sendBufferHighBytes: 256 * 1024, sendBufferLowBytes: 64 * 1024, sendBufferMaxBytes: 1024 * 1024 } },
  )
  const rude = await open(fixture)
  rude.client.pause()
  rude.client.write(get('/rude'))
  await until('dropped', () => closedFor(fixture, 'too_slow') === 1)
  assert.equal(fixture.loops[0].unsentBytes, 0)

  written = 0
  const polite = await open(fixture)
  polite.client.pause()
  polite.client.write(get('/polite'))
  await until('held back', () => polite.connection.congested)
  const after = written
  for (let index = 0; index < 20; index++) await turn()
  assert.ok(after < 1000 && written - after < 10, `${after} ${written}`)
  polite.client.resume()
  await until('all of it', () => polite.received.bytes > 1000 * chunk.length)
  // And one that stops reading for good.
  written = 0
  const stuck = await open(fixture)
  stuck.client.pause()
  stuck.client.write(get('/polite'))
  await until('held back', () => stuck.connection.congested)
  fixture.timers.run(HTTP_SILENT_MS_MAX + 1_000)
  fixture.timers.run(HTTP_SILENT_MS_MAX + 1_000)
  await until('dropped', () => closedFor(fixture, 'too_slow') === 2)
})

test('http: an answer in pieces gets its drains, and may end in one', async () => {
  let drains = 0
  await using fixture = new MoveFixture({
    http(request, response) {
      const piece = Buffer.alloc(70_000, 'x')
      let left = 5
      const more = (): void => {
        drains++
        while (left-- > 0) if (!response.write(piece)) return
        response.end()
      }
      response.on('drain', more)
      more()
      // As a handler that does not care; the answer has ended then, or ends in the drain that this brings.
      if (request.url === '/careless') response.end()
    },
  })
  const { client, received } = await open(fixture)
  client.write(get('/'))
  await until('all of it', () => received.text.endsWith('\r\n0\r\n\r\n'))
  assert.ok(received.bytes > 350_000 && drains > 1)
  const before = received.bytes
  client.write(get('/careless'))
  await until('the end of it', () => received.bytes > before && received.text.endsWith('\r\n0\r\n\r\n'))
  await until('counted', () => figure(fixture, 'messagesOut') === 2)
})

test('http: a body that nobody reads is not read from the network either', async () => {
  const asked: IncomingMessage[] = []
  await using fixture = new MoveFixture(
    { http: (request) => void asked.push(request) },
    { limits: { receiveBufferBytes: 64 * 1024 } },
  )
  const { client, connection } = await open(fixture)
  const bytes = 8 * 1024 * 1024
  client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`)
  client.write(Buffer.alloc(bytes, 'x'))
  await until('held back', () => connection.paused)
  for (let index = 0; index < 20; index++) await turn()
  assert.ok(fixture.bytesIn < 1024 * 1024, `${fixture.bytesIn}`)
  let read = 0
  asked[0]?.on('data', (data: Buffer) => {
    read += data.length
    assert.ok(data.every((byte) => byte === 0x78))
  })
  await until('all of it', () => read === bytes)
})
