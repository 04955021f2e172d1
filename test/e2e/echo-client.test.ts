import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { type EchoClientOptions, runEchoClient } from '../../src/cli/echo-client.ts'

async function talk(
  serve: (socket: Socket) => void,
  options: EchoClientOptions,
  signal?: AbortSignal,
): Promise<{ status: number; out: string; err: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    serve(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const out: string[] = []
  const err: string[] = []
  const stdout = { write: (text: string) => out.push(text) }
  const stderr = { write: (text: string) => err.push(text) }
  const io = { stdout, stderr, signal: signal ?? new AbortController().signal }
  const status = await runEchoClient({ port, ...options }, io)
  server.close()
  const text = (parts: readonly string[]): string => parts.join('').replaceAll(String(port), 'PORT')
  return { status, out: text(out), err: text(err) }
}

test('echo-client: greets, prints size and text of what comes back, and ends with the server', async () => {
  const { status, out, err } = await talk((socket) => {
    socket.once('data', (bytes) => socket.end(`[Conn 1] ${bytes.toString()}`))
  }, {})
  assert.equal(err, '')
  assert.equal(
    out,
    'connected to 127.0.0.1:PORT\nsent 32 bytes: Hello from polyloop TCP client!\n' +
      'received 41 bytes: [Conn 1] Hello from polyloop TCP client!\nthe server closed the connection\n',
  )
  assert.equal(status, 0)
})

test('echo-client: its own message, and an end after the duration', async () => {
  const { status, out } = await talk((socket) => socket.pipe(socket), { message: 'привіт', duration: '100ms' })
  assert.equal(status, 0)
  assert.match(out, /sent 13 bytes: привіт\nreceived 13 bytes: привіт\ndone after 100ms\n$/)
})

test('echo-client: Ctrl-C is an end like any other', async () => {
  const interrupt = new AbortController()
  const { status, out } = await talk(() => interrupt.abort(), { duration: '60s' }, interrupt.signal)
  assert.equal(status, 0)
  assert.match(out, /interrupted\n$/)
})

test('echo-client: 1 when nobody listens or the connection breaks, 2 for senseless options', async () => {
  const refused = await talk(() => undefined, { host: '127.0.0.1', port: 1 })
  assert.equal(refused.status, 1)
  assert.match(refused.err, /^cannot connect to 127\.0\.0\.1:1: .*ECONNREFUSED/)
  const broken = await talk((socket) => socket.resetAndDestroy(), {})
  assert.equal(broken.status, 1)
  assert.match(broken.err, /ECONNRESET/)
  const senseless = await talk(() => undefined, { port: 'x', duration: '0s', connectTimeout: 'soon' })
  assert.equal(senseless.status, 2)
  assert.equal(senseless.err.split('\n').length - 1, 3)
})
