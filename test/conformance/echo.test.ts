// The echo rows of the conformance checklist (E1 to E5, E8, E10) over TCP and UDP, against the running product. E6 is
// in echo-timeout.test.ts, E7 in faults/slow-client.test.ts, E9 in echo-websocket.test.ts.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { LineClient, openSocket, readAll } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'

const PIECE_BYTES = 64 * 1024
const RAW_BYTES = 10 * 1024 * 1024
const CONCURRENT = 1000

let server: Server

before(async () => {
  server = await startServer({ shards: 3, settings: { 'net.backlog': 2048 } })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

/** Sends all of `bytes`, half-closes, and answers all that comes back. */
async function exchange(port: number, ...segments: readonly (string | Buffer)[]): Promise<Buffer> {
  const socket = await openSocket({ port })
  const answer = readAll(socket)
  for (const segment of segments) await new Promise((resolve) => socket.write(segment, resolve))
  socket.end()
  return answer
}

/** The answer without the prefixes, which must all be the same. */
async function echoed(...segments: readonly string[]): Promise<string> {
  const text = (await exchange(server.port('echo.tcp'), ...segments)).toString('latin1')
  const prefix = /^\[Conn \d+\] /.exec(text)?.[0]
  assert.ok(prefix, `a prefix: ${text.slice(0, 40)}`)
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : line.startsWith(prefix) ? line.slice(prefix.length) : `?${line}`))
    .join('\n')
}

test('echo: the first connection is 1, the second 2, across shards and both address families', async () => {
  using first = await LineClient.open({ port: server.port('echo.tcp') })
  assert.equal(await first.ask('hello'), '[Conn 1] hello')
  using second = await LineClient.open({ port: server.port('echo.tcp'), host: '::1' })
  assert.equal(await second.ask('hello'), '[Conn 2] hello')
  assert.equal(await first.ask('again'), '[Conn 1] again')
})

test('echo: two lines of one segment come back in order, one line of three segments as one', async () => {
  assert.equal(await echoed('a\nb\n'), 'a\nb\n')
  using client = await LineClient.open({ port: server.port('echo.tcp') })
  for (const part of ['on', 'e li', 'ne\n']) {
    client.socket.write(part)
    // Once the kernel has sent it, the next write is another segment: Nagle is off.
    await waitUntil('the segment left', () => client.socket.writableLength === 0)
  }
  assert.match((await client.next()) ?? '', /^\[Conn \d+\] one line$/)
})

test('echo: carriage returns, empty lines and arbitrary bytes are repeated verbatim', async () => {
  assert.equal(await echoed('hello\r\n'), 'hello\r\n')
  assert.match((await exchange(server.port('echo.tcp'), '\n\n')).toString(), /^(\[Conn \d+\] \n)\1$/)
  assert.equal(await echoed('\0\x80\xff\n'), Buffer.from('\0\x80\xff\n', 'utf8').toString('latin1'))
})

test('echo: a last line without its end comes back as a line when the client half-closes, then the server ends', async () => {
  assert.equal(await echoed('whole\nlast'), 'whole\nlast\n')
  assert.equal(await echoed('last'), 'last\n')
  assert.equal((await exchange(server.port('echo.tcp'))).length, 0)
})

test('echo: a line over 64 KiB comes back in pieces of 64 KiB; one of exactly 64 KiB as one', async () => {
  const piece = 'x'.repeat(PIECE_BYTES)
  assert.equal(await echoed(`${piece}\n`), `${piece}\n`)
  assert.equal(await echoed(`${piece}y\n`), `${piece}\ny\n`)
  assert.equal(await echoed(`${piece}${piece}yz`), `${piece}\n${piece}\nyz\n`)
})

test('echo: connection ids are unique under 1000 concurrent connections over several shards', async () => {
  const port = server.port('echo.tcp')
  const clients = await Promise.all(Array.from({ length: CONCURRENT }, () => LineClient.open({ port })))
  try {
    const answers = await Promise.all(clients.map((client) => client.ask('id')))
    const ids = new Set(answers.map((answer) => /^\[Conn (\d+)\] id$/.exec(answer ?? '')?.[1]))
    assert.ok(!ids.has(undefined), 'every answer is a prefixed line')
    assert.equal(ids.size, CONCURRENT)
    // A10: the sum over the shards is the number of open connections.
    const metrics = await server.metrics()
    assert.equal(metrics.sum('polyloop_shard_connections', { service: 'echo' }), CONCURRENT)
    assert.equal(metrics.sum('polyloop_echo_connections', { transport: 'tcp' }), CONCURRENT)
    for (const shard of ['0', '1', '2'])
      assert.ok(metrics.sum('polyloop_shard_connections', { shard }) > CONCURRENT / 6, `shard ${shard} has its share`)
  } finally {
    for (const client of clients) client.socket.destroy()
  }
  await waitUntil('all ends are counted', async () => {
    const metrics = await server.metrics()
    return metrics.sum('polyloop_shard_connections') === 0 && metrics.sum('polyloop_echo_connections') === 0
  })
})

test('echo: datagrams of 0 to 65 507 bytes return unchanged, each to its source', async () => {
  const sizes = [0, 1, 1400, 60_000, 65_507]
  for (const [host, type] of [
    ['127.0.0.1', 'udp4'],
    ['::1', 'udp6'],
  ] as const) {
    const socket = createSocket({ type, recvBufferSize: 4 * 1024 * 1024 })
    try {
      socket.connect(server.port('echo.udp'), host)
      await once(socket, 'connect')
      for (const size of sizes) {
        const payload = randomBytes(size)
        const answer = once(socket, 'message')
        socket.send(payload)
        const [received] = (await within(`${size} bytes back`, answer)) as [Buffer]
        assert.ok(received.equals(payload), `${size} bytes over ${type}`)
      }
    } finally {
      socket.close()
    }
  }
  await waitUntil('the datagrams are counted', async () => {
    const metrics = await server.metrics()
    const [received, sent] = ['in', 'out'].map((direction) =>
      metrics.sum('polyloop_echo_datagrams_total', { direction }),
    )
    return received === 2 * sizes.length && sent === received
  })
})

test('echo: in raw mode 10 MiB of random bytes come back identical', async () => {
  await using raw = await startServer({ settings: { 'services.echo.mode': 'raw' } })
  const bytes = randomBytes(RAW_BYTES)
  const answer = await exchange(raw.port('echo.tcp'), bytes)
  assert.equal(answer.length, RAW_BYTES)
  assert.equal(digest(answer), digest(bytes))
})

test('echo: in simple mode a second connection ends without data, and the next after the first is served', async () => {
  await using simple = await startServer({ settings: { 'services.echo.mode': 'simple' } })
  const port = simple.port('echo.tcp')
  using first = await LineClient.open({ port })
  assert.equal(await first.ask('one'), 'one')
  for (let round = 0; round < 3; round++) {
    using surplus = await LineClient.open({ port })
    assert.equal(await surplus.ask('two'), undefined)
    assert.equal(await first.ask('still'), 'still')
  }
  first.end()
  assert.equal(await first.ended, true)
  // At once: the end of the first was seen by its client, so the next one is the next one.
  using next = await LineClient.open({ port })
  assert.equal(await next.ask('three'), 'three')
  assert.equal((await simple.metrics()).sum('polyloop_net_refused_total', { reason: 'service_limit' }), 3)
})

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
