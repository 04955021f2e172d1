// Listeners behind a proxy: PROXY v1 and v2 in front of TCP and WebSocket, and the client's address from them.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { LineClient, openSocket, readAll } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { within } from '../harness/wait.ts'

const SHARDS = 2
const PER_ADDRESS = 3
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

let server: Server

before(async () => {
  server = await startServer({
    shards: SHARDS,
    modules: ['test/integration/relay-service.ts'],
    settings: {
      'services.relay.tcp.proxyProtocol': true,
      'services.relay.ws.proxyProtocol': true,
      'net.maxConnectionsPerAddress': PER_ADDRESS,
      'net.sniff.timeout': '500ms',
    },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

/** A version 2 header for TCP over IPv4. */
function versionTwo(address: string, port: number): Buffer {
  const body = Buffer.alloc(12)
  body.set(address.split('.').map(Number), 0)
  body.set([127, 0, 0, 1], 4)
  body.writeUInt16BE(port, 8)
  body.writeUInt16BE(80, 10)
  return Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0, body.length]), body])
}

async function behind(header: string | Buffer, listener = 'relay.tcp'): Promise<LineClient> {
  const socket = await openSocket({ port: server.port(listener) })
  socket.write(header)
  return new LineClient(socket)
}

test('proxy: versions 1 and 2 name the client, over IPv4 and IPv6', async () => {
  const cases: readonly (readonly [string | Buffer, string])[] = [
    ['PROXY TCP4 192.0.2.1 192.0.2.9 1234 80\r\n', '192.0.2.1 1234'],
    ['PROXY TCP6 2001:db8::1 2001:db8::2 1235 80\r\n', '2001:db8::1 1235'],
    [versionTwo('192.0.2.2', 1236), '192.0.2.2 1236'],
  ]
  for (const [header, remote] of cases) {
    using client = await behind(header)
    assert.equal(await client.ask('remote'), remote)
    assert.equal(await client.ask('session'), `peer:${remote.replace(' ', ':')}`)
  }
})

test('proxy: UNKNOWN and LOCAL keep the address of the proxy', async () => {
  for (const header of ['PROXY UNKNOWN\r\n', Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])])]) {
    using client = await behind(header)
    assert.equal(await client.ask('remote'), `127.0.0.1 ${client.socket.localPort}`)
  }
})

test('proxy: a header byte by byte, and data in the same segment as its end', async () => {
  const socket = await openSocket({ port: server.port('relay.tcp') })
  for (const byte of 'PROXY TCP4 192.0.2.3 192.0.2.9 1234 80\r') {
    socket.write(byte)
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.write('\nremote\nsecond\n')
  using client = new LineClient(socket)
  assert.equal(await client.next(), '192.0.2.3 1234')
  assert.equal(await client.next(), 'second')
})

test('proxy: in front of a WebSocket the session key still decides the shard', async () => {
  for (let shard = 0; shard < SHARDS; shard++) {
    const socket = await openSocket({ port: server.port('relay.ws') })
    const key = Buffer.alloc(16).toString('base64')
    socket.write(versionTwo('192.0.2.4', 2000 + shard))
    socket.write(
      `GET /?session=${sessionOn(shard, SHARDS, 'relay')} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    )
    const [head] = (await within('an answer', once(socket, 'data'))) as [Buffer]
    assert.match(head.toString(), /^HTTP\/1\.1 101 /)
    for (const [command, answer] of [
      ['where', String(shard)],
      ['remote', `192.0.2.4 ${2000 + shard}`],
    ] as const) {
      // A masked frame with an all-zero mask.
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | command.length, 0, 0, 0, 0]), Buffer.from(command)]))
      const [frame] = (await within('a frame', once(socket, 'data'))) as [Buffer]
      assert.equal(frame.subarray(2).toString(), answer)
    }
    socket.destroy()
  }
})

test('proxy: the limit per address counts clients, not the proxy', async () => {
  const header = (host: number): string => `PROXY TCP4 198.51.100.${host} 192.0.2.9 1234 80\r\n`
  const clients = await Promise.all([1, 1, 1, 2, 2, 2].map((host) => behind(header(host))))
  for (const client of clients) assert.equal(await client.ask('in'), 'in')
  using surplus = await behind(header(1))
  assert.equal(await surplus.ask('in'), undefined)
  for (const client of clients) client.socket.destroy()
})

test('proxy: without a proper header a connection ends without a byte', async () => {
  for (const bytes of [
    'hello\n',
    'PROXY NONSENSE\r\n',
    'PROXY TCP4 300.0.0.1 1.2.3.4 1 2\r\n',
    SIGNATURE.subarray(0, 6),
  ]) {
    const socket = await openSocket({ port: server.port('relay.tcp') })
    socket.write(bytes)
    assert.equal((await readAll(socket)).length, 0)
    socket.destroy()
  }
})
