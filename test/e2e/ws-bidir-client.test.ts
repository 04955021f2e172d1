// How a client of a session ends: by the server's word, by a refusal, by Ctrl-C.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { WebSocket } from 'ws'
import { runWsBidirClient } from '../../src/cli/ws-bidir-client.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'
import { type Fault, faultyProxy } from './session-proxy-fault.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis[Symbol.asyncDispose]())

interface Run {
  readonly status: number
  readonly out: string
  readonly err: string
}

async function clientOf(fault: Fault, interruptOn?: RegExp): Promise<Run> {
  await using proxy = await faultyProxy(redis.url, fault)
  const interrupt = new AbortController()
  const printed: Record<'out' | 'err', string[]> = { out: [], err: [] }
  const io = {
    stdout: { write: (text: string) => printed.out.push(text) },
    stderr: { write: (text: string) => printed.err.push(text) },
    signal: interrupt.signal,
  }
  const ended = runWsBidirClient('agent', 'a/b :ü', 'token', { url: `ws://127.0.0.1:${proxy.port}/` }, io)
  if (interruptOn !== undefined) {
    await waitUntil(`${interruptOn}`, () => interruptOn.test(printed.out.join('')))
    interrupt.abort()
  }
  return { status: await ended, out: printed.out.join(''), err: printed.err.join('') }
}

function closing(code: number, reason: string): Fault {
  return { opened: (socket: WebSocket) => socket.once('message', () => socket.close(code, reason)) }
}

test('ws-bidir-client: a shutdown is a good end, an internal error is none', async () => {
  const shutdown = await clientOf(closing(1001, 'server shutting down'))
  assert.deepEqual([shutdown.status, shutdown.err], [0, ''])
  assert.match(
    shutdown.out,
    /^connected to ws:\/\/127\.0\.0\.1:\d+\/agent\/ws\/a%2Fb%20%3A%C3%BC\nsent \{"type":"ping","counter":1,.*\nclosed 1001 server shutting down\n$/,
  )
  const failure = await clientOf(closing(1011, 'internal\u001b[31m error'))
  assert.equal(failure.status, 1)
  assert.match(failure.out, /\nclosed 1011 internal\\u001b\[31m error\n$/)
})

test('ws-bidir-client: what comes is printed, text or not; Ctrl-C closes with 1000', async () => {
  const codes: number[] = []
  const run = await clientOf(
    {
      opened: (socket) => {
        socket.on('close', (code) => codes.push(code))
        socket.send('{"a":\n1}')
        socket.send(Buffer.from([1, 2, 3]))
      },
    },
    /3 binary bytes/,
  )
  assert.equal(run.status, 0)
  assert.match(run.out, /\nreceived \{"a":\\u000a1\}\nreceived 3 binary bytes\n(?:.*\n)*closed 1000\n$/)
  assert.deepEqual(codes, [1000])
})

test('ws-bidir-client: a refusal, and a connection that is cut', async () => {
  const refused = await clientOf({ refuse: () => ({ status: 503, text: 'Unable to prepare session' }) })
  assert.deepEqual(refused, {
    status: 1,
    out: '',
    err: 'ws-bidir-client: refused with 503 Unable to prepare session\n',
  })
  const cut = await clientOf({ opened: (socket) => socket.terminate() })
  assert.equal(cut.status, 1)
  assert.match(cut.out, /\nclosed 1006\n$/)
})

test('ws-bidir-client: options and tokens that make no sense', async () => {
  const io = { stdout: { write: () => {} }, stderr: { write: () => {} }, signal: new AbortController().signal }
  assert.equal(await runWsBidirClient('a', 's', 't', { url: 'tcp://127.0.0.1:1' }, io), 2)
  assert.equal(await runWsBidirClient('a', 's', 'line\nbreak', {}, io), 2)
})
