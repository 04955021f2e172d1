import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { type WebSocket, WebSocketServer } from 'ws'
import type { LoadTestOptions } from '../../src/cli/load/plan.ts'
import type { RunReport } from '../../src/cli/load/report.ts'
import { runLoadTest } from '../../src/cli/load-test.ts'

const SHORT = { connections: 4, warmup: '0s', duration: '250ms', timeout: '300ms', threads: 1, seed: 7 } as const
const OPEN = { ...SHORT, rate: 1_000 } as const
const CLOSED = { ...SHORT, window: 4 } as const

interface Outcome {
  readonly status: number
  readonly run: RunReport
}

async function load(target: string, options: LoadTestOptions, signal?: AbortSignal): Promise<Outcome> {
  const printed: string[] = []
  const silent = { write: (): void => undefined }
  const stdout = { write: (text: string) => printed.push(text) }
  const io = { stdout, stderr: silent, signal: signal ?? new AbortController().signal }
  const status = await runLoadTest(target, { ...options, json: true }, io)
  const { ok, runs } = JSON.parse(printed.join('')) as { ok: boolean; runs: RunReport[] }
  const [run] = runs
  assert.ok(run !== undefined)
  assert.equal(ok, status === 0)
  assert.equal(run.messages.sent, run.messages.answered + run.messages.wrong + run.messages.missing)
  return { status, run }
}

function assertClean({ status, run }: Outcome): void {
  assert.deepEqual(run.errors, { total: 0, kinds: {}, details: {} })
  assert.equal(status, 0)
  assert.equal(run.connections.opened, run.connections.wanted)
  assert.ok(run.messages.sent > 20, `only ${run.messages.sent} messages`)
  assert.equal(run.messages.answered, run.messages.sent)
  assert.ok(run.latency.count > 10 && run.latency.p50Ns > 0 && run.latency.maxNs >= run.latency.p50Ns)
}

type Answer = (socket: WebSocket, message: Buffer, number: number) => void

interface Server extends AsyncDisposable {
  readonly url: string
  readonly paths: string[]
}

/** A WebSocket server that answers as `answer` does; `number` counts the messages of all connections from 1. */
async function wsServer(answer: Answer): Promise<Server> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  await once(server, 'listening')
  const paths: string[] = []
  let number = 0
  server.on('connection', (socket, request) => {
    paths.push(request.url ?? '')
    socket.on('message', (data: Buffer) => answer(socket, data, ++number))
  })
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths,
    [Symbol.asyncDispose]: async () => {
      for (const socket of server.clients) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const echo: Answer = (socket, message) => socket.send(message, { binary: false })

async function tcpServer(serve: (socket: Socket, number: number) => void): Promise<Server> {
  let number = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    serve(socket, ++number)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths: [],
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Answers to each datagram with what `answer` gives, at once. */
async function udpServer(answer: (datagram: Buffer, number: number) => readonly Buffer[]): Promise<Server> {
  const socket = createSocket('udp4')
  let number = 0
  socket.on('message', (datagram, { port, address }) => {
    for (const reply of answer(datagram, ++number)) socket.send(reply, port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    url: `udp://127.0.0.1:${socket.address().port}`,
    paths: [],
    [Symbol.asyncDispose]: async () => {
      socket.close()
      await once(socket, 'close')
    },
  }
}

test('load-test: WebSocket, closed loop: everything comes back, over all threads and session keys', async () => {
  await using server = await wsServer(echo)
  const outcome = await load(server.url, { ...CLOSED, threads: 2, sessionKeys: true, pid: process.pid })
  assertClean(outcome)
  assert.deepEqual(
    server.paths.toSorted(),
    [0, 1, 2, 3].map((key) => `/?session=key-${key}`),
  )
  const { server: process_, throughput } = outcome.run
  assert.ok(throughput.answersPerSecond > 20)
  assert.ok(process_ !== undefined)
  if (process.platform === 'linux') assert.ok('cores' in process_ && process_.cores > 0 && process_.threads > 2)
  else assert.ok('unavailable' in process_)
})

test('load-test: WebSocket, open loop: keeps its rate, evenly or at random, text or binary', async () => {
  await using server = await wsServer((socket, message) => socket.send(message, { binary: true }))
  const even = await load(server.url, { ...OPEN, binary: true, size: '4KiB' })
  assertClean(even)
  assert.equal(even.run.messages.sent, 250)
  assert.equal(even.run.latency.count, 250)
  assertClean(await load(server.url, { ...OPEN, binary: true, poisson: true, threads: 2 }))
})

test('load-test: TCP, prefixed and raw', async () => {
  {
    await using server = await tcpServer((socket, number) => {
      let rest = ''
      socket.setEncoding('latin1').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        if (lines.length > 0) socket.write(lines.map((line) => `[Conn ${number}] ${line}\n`).join(''))
      })
    })
    assertClean(await load(server.url, CLOSED))
    assertClean(await load(server.url, { ...OPEN, size: '32KiB', rate: 400 }))
  }
  await using server = await tcpServer((socket) => socket.pipe(socket))
  assertClean(await load(server.url, { ...CLOSED, mode: 'raw' }))
  const wrongMode = await load(server.url, { ...SHORT, mode: 'prefixed' })
  assert.equal(wrongMode.status, 1)
  assert.deepEqual(Object.keys(wrongMode.run.errors.kinds), ['mismatch'])
  assert.equal(wrongMode.run.messages.wrong, wrongMode.run.messages.sent)
})

test('load-test: UDP: order is free, losses and duplicates are counted', async () => {
  {
    await using server = await udpServer((datagram) => [datagram])
    assertClean(await load(server.url, SHORT))
  }
  let dropped = 0
  let doubled = 0
  await using server = await udpServer((datagram, number) => {
    if (number % 10 === 0) dropped++
    if (number % 10 === 0) return []
    if (number % 10 === 5) doubled++
    return number % 10 === 5 ? [datagram, datagram] : [datagram]
  })
  // One connection: the number of a message in the server is its order.
  const { status, run } = await load(server.url, { ...OPEN, connections: 1 })
  assert.equal(status, 1)
  assert.ok(dropped > 10 && doubled > 10)
  assert.deepEqual(run.errors.kinds, { duplicate: doubled, lost: dropped })
  assert.equal(run.messages.missing, dropped)
})

test('load-test: UDP: answers in another order are no error', async () => {
  let held: Buffer | undefined
  await using server = await udpServer((datagram) => {
    const pair = held === undefined ? [] : [datagram, held]
    held = held === undefined ? datagram : undefined
    return pair
  })
  assertClean(await load(server.url, { ...OPEN, connections: 1 }))
})

test('load-test: a server that drops every tenth message', async () => {
  let dropped = 0
  await using server = await wsServer((socket, message, number) => {
    if (number % 10 === 0) dropped++
    else echo(socket, message, number)
  })
  const { status, run } = await load(server.url, OPEN)
  assert.equal(status, 1)
  assert.ok(dropped >= 20)
  const { lost = 0, timeout = 0, ...others } = run.errors.kinds
  assert.deepEqual(others, {})
  // The last message of a connection has no later one that could prove its loss.
  assert.ok(timeout <= 4, `${timeout} timeouts`)
  assert.equal(lost + timeout, dropped)
  assert.equal(run.messages.missing, dropped)
  // Missing messages are in the histogram, with the time waited.
  assert.equal(run.latency.count, run.messages.sent)
  assert.ok(run.latency.p95Ns > 290e6, `P95 ${run.latency.p95Ns}`)
})

test('load-test: a server that answers every tenth message twice', async () => {
  let doubled = 0
  await using server = await wsServer((socket, message, number) => {
    echo(socket, message, number)
    if (number % 10 === 0) echo(socket, message, number)
    if (number % 10 === 0) doubled++
  })
  const { status, run } = await load(server.url, CLOSED)
  assert.equal(status, 1)
  assert.ok(doubled > 5)
  assert.deepEqual(run.errors.kinds, { duplicate: doubled })
  assert.equal(run.messages.missing, 0)
})

test('load-test: a server that damages every tenth message, in its head or behind it', async () => {
  let damaged = 0
  await using server = await wsServer((socket, message, number) => {
    if (number % 10 === 0) message[(damaged++ * 7) % message.length] = 0x7e // no digit of ours
    echo(socket, message, number)
  })
  const { status, run } = await load(server.url, CLOSED)
  assert.equal(status, 1)
  assert.ok(damaged > 5)
  assert.deepEqual(run.errors.kinds, { mismatch: damaged })
  assert.equal(run.messages.wrong, damaged)
  assert.equal(run.messages.missing, 0)
})

test('load-test: a server that swaps every tenth message with the next', async () => {
  let held: Buffer | undefined
  let swapped = 0
  await using server = await wsServer((socket, message, number) => {
    if (number % 10 === 0) held = Buffer.from(message)
    else echo(socket, message, number)
    if (number % 10 !== 1 || held === undefined) return
    echo(socket, held, number)
    held = undefined
    swapped++
  })
  const { status, run } = await load(server.url, { ...CLOSED, connections: 1 })
  assert.equal(status, 1)
  assert.ok(swapped > 5)
  const { timeout = 0, ...others } = run.errors.kinds
  assert.deepEqual(others, { reordered: swapped })
  assert.equal(timeout, held === undefined ? 0 : 1)
})

test('load-test: a server that answers to the wrong connection', async () => {
  let mistaken = 0
  const seen: WebSocket[] = []
  await using server = await wsServer((socket, message, number) => {
    if (!seen.includes(socket)) seen.push(socket)
    const other = seen.find((candidate) => candidate !== socket)
    if (number % 10 !== 0 || other === undefined) return echo(socket, message, number)
    mistaken++
    echo(other, message, number)
  })
  const { run } = await load(server.url, OPEN)
  assert.ok(mistaken > 10)
  assert.equal(run.errors.kinds.foreign, mistaken)
  assert.equal(run.messages.missing, mistaken)
})

test('load-test: a server that stalls for 300 ms: the open loop shows it', async () => {
  let number = 0
  const stalled: (() => void)[] = []
  await using server = await wsServer((socket, message) => {
    number++
    if (number === 100) {
      setTimeout(() => {
        for (const late of stalled.splice(0)) late()
      }, 300)
    }
    const answer = (): void => socket.send(message, { binary: false })
    if (number >= 100 && (number === 100 || stalled.length > 0)) stalled.push(answer)
    else answer()
  })
  const outcome = await load(server.url, { ...OPEN, duration: '400ms', timeout: '5s' })
  assertClean(outcome)
  // Of 400 messages in 400 ms, 300 fell into the stall and waited 150 ms on average.
  const { p50Ns, p95Ns, maxNs } = outcome.run.latency
  assert.ok(p50Ns > 50e6 && p95Ns > 200e6 && maxNs > 290e6, `P50 ${p50Ns} P95 ${p95Ns} Max ${maxNs}`)
})

test('load-test: a silent server: messages time out, and late answers are called late', async () => {
  let held = 0
  await using server = await wsServer((socket, message, number) => {
    held++
    setTimeout(() => socket.readyState === socket.OPEN && echo(socket, message, number), 200)
  })
  const { status, run } = await load(server.url, { ...SHORT, timeout: '60ms', duration: '300ms' })
  assert.equal(status, 1)
  assert.equal(run.errors.kinds.timeout, held)
  assert.equal(run.messages.missing, held)
  assert.ok((run.errors.kinds.late ?? 0) > 0)
})

test('load-test: a server that closes connections', async () => {
  await using server = await wsServer((socket, message, number) => {
    if (number > 40) socket.close(1011, 'tired')
    else echo(socket, message, number)
  })
  const { status, run } = await load(server.url, OPEN)
  assert.equal(status, 1)
  assert.equal(run.endedEarly, 'no connection left')
  assert.equal(run.errors.kinds.closed, 4)
  assert.deepEqual(run.errors.details, { 'closed: 1011 tired': 4 })
  assert.equal(run.errors.kinds.lost, run.messages.missing)
  assert.equal(run.messages.answered, 40)
  assert.equal(run.connections.closedEarly, 4)
})

test('load-test: servers that are not there, or refuse', async () => {
  const http = createHttpServer((_request, response) => response.writeHead(503).end())
  http.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n'))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const { port } = http.address() as AddressInfo
  const rejected = await load(`ws://127.0.0.1:${port}`, SHORT)
  assert.deepEqual(rejected.run.errors, { total: 4, kinds: { rejected: 4 }, details: { 'rejected: HTTP 503': 4 } })
  http.close()
  await once(http, 'close')
  for (const scheme of ['ws', 'tcp']) {
    const { status, run } = await load(`${scheme}://127.0.0.1:${port}`, SHORT)
    assert.equal(status, 1)
    assert.equal(run.endedEarly, 'no connection left')
    assert.deepEqual(run.errors, { total: 4, kinds: { refused: 4 }, details: {} })
    assert.equal(run.connections.failed, 4)
    assert.deepEqual(run.throughput, { measuredMs: 0, answers: 0, answersPerSecond: 0 })
  }
  const { run } = await load(`udp://127.0.0.1:${port}`, SHORT)
  assert.equal(run.errors.kinds.refused, 4)
})

test('load-test: a server that never finishes the handshake', async () => {
  await using server = await tcpServer((socket) => socket.resume())
  const { run } = await load(server.url.replace('tcp', 'ws'), SHORT)
  assert.deepEqual(run.errors, { total: 4, kinds: { 'connect-timeout': 4 }, details: {} })
})

test('load-test: Ctrl-C ends the run early, with a report', async () => {
  const interrupt = new AbortController()
  await using server = await wsServer((socket, message, number) => {
    echo(socket, message, number)
    if (number === 50) interrupt.abort()
  })
  const started = performance.now()
  const { status, run } = await load(server.url, { ...SHORT, duration: '60s' }, interrupt.signal)
  assert.ok(performance.now() - started < 10_000)
  assert.equal(status, 0)
  assert.equal(run.endedEarly, 'interrupted')
  assert.ok(run.messages.answered >= 50)
  assert.equal(run.messages.missing, 0)
})
