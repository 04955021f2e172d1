import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertClean, CLOSED, echo, load, OPEN, SHORT, tcpServer, udpServer, wsServer } from './load-server.ts'

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

test('load-test: UDP: answers in another order are no error', async () => {
  let held: Buffer | undefined
  await using server = await udpServer((datagram) => {
    const pair = held === undefined ? [] : [datagram, held]
    held = held === undefined ? datagram : undefined
    return pair
  })
  assertClean(await load(server.url, { ...OPEN, connections: 1 }))
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
