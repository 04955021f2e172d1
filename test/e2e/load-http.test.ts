import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { assertClean, load, type Server, SHORT, tcpServer } from './load-server.ts'

/** `number` counts the requests from 1. */
async function httpServer(
  answer: (request: IncomingMessage, response: ServerResponse, number: number) => void,
): Promise<Server> {
  let number = 0
  const paths: string[] = []
  const server = createServer((request, response) => {
    paths.push(`${request.method} ${request.url}`)
    answer(request, response, ++number)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a/b?c=d`,
    paths,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('load-test http: GET, sized and chunked, on connections that stay', async () => {
  const ports = new Set<number | undefined>()
  await using server = await httpServer((request, response, number) => {
    ports.add(request.socket.remotePort)
    if (number % 2 === 0) response.end('x'.repeat(number % 5_000))
    else {
      response.write('y'.repeat(number % 5_000))
      response.end('z')
    }
  })
  assertClean(await load(server.url, { ...SHORT, threads: 2 }))
  assert.equal(ports.size, 4)
  assert.deepEqual([...new Set(server.paths)], ['GET /a/b?c=d'])
})

test('load-test http: POST of a body, with a token, in an open loop', async () => {
  const body = '{"content":"Привіт"}'
  const seen = new Set<string>()
  await using server = await httpServer(async (request, response) => {
    const { authorization, 'content-type': type, host } = request.headers
    seen.add([authorization, type, host?.startsWith('127.0.0.1:'), await text(request)].join(' '))
    response.writeHead(201).end('{}')
  })
  const outcome = await load(server.url, { ...SHORT, rate: 1_000, body, token: 'abc' })
  assertClean(outcome)
  assert.equal(outcome.run.messages.sent, 250)
  assert.deepEqual([...seen], [`Bearer abc application/json true ${body}`])
})

test('load-test http: a slow answer makes those behind it late, and they count so', async () => {
  const inProgress = new Set<number | undefined>()
  let together = 0
  await using server = await httpServer((request, response, number) => {
    const { remotePort } = request.socket
    if (inProgress.has(remotePort)) together++
    inProgress.add(remotePort)
    const end = (): void => {
      inProgress.delete(remotePort)
      response.end()
    }
    if (number === 60) setTimeout(end, 150)
    else end()
  })
  const { run } = await load(server.url, { ...SHORT, connections: 1, rate: 400 })
  assert.deepEqual(run.errors.kinds, {})
  assert.equal(run.messages.answered, 100)
  assert.equal(together, 0, 'a connection asks one thing at a time')
  assert.ok(run.latency.minNs < 100e6 && run.latency.p95Ns > 100e6, JSON.stringify(run.latency))
})

test('load-test http: statuses other than 2xx, by their number; a limit is explained', async () => {
  const made = { unavailable: 0, limited: 0 }
  await using server = await httpServer((_, response, number) => {
    const status = number % 10 === 0 ? 503 : number % 10 === 5 ? 429 : 200
    if (status === 503) made.unavailable++
    if (status === 429) made.limited++
    response.writeHead(status).end('some body')
  })
  const { status, run } = await load(server.url, SHORT)
  assert.equal(status, 1)
  assert.ok(made.limited > 0 && made.unavailable > 0)
  assert.deepEqual(run.errors.kinds, { failed: made.unavailable + made.limited })
  assert.deepEqual(run.errors.details, { 'failed: HTTP 503': made.unavailable, 'failed: HTTP 429': made.limited })
  assert.match(String(run.warnings), /services\.chat\.rateLimit\.rate/)
})

test('load-test http: bodies that are cut off, and answers that are none', async () => {
  for (const [answer, detail] of [
    ['HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', 'in the middle of a response'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', 'in the middle of a response'],
    ['HTTP/1.1 200 OK\r\n\r\nhello', 'a body without a length'],
    ['what?\r\n\r\n', 'not HTTP'],
    ['', 'end of stream'],
  ] as const) {
    await using server = await tcpServer((socket) => socket.once('data', () => socket.end(answer)))
    const { status, run } = await load(server.url.replace('tcp:', 'http:'), SHORT)
    assert.equal(status, 1)
    assert.deepEqual(run.errors.kinds, { closed: 4, lost: 4 })
    assert.deepEqual(run.errors.details, { [`closed: ${detail}`]: 4 })
  }
})
