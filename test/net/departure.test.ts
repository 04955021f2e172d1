import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TcpHandler } from '../../src/net/handler.ts'
import { Received, turn, until } from './loop-fixture.ts'
import { DRAIN_MS, MoveFixture, moved } from './move-fixture.ts'

const echo: TcpHandler<void> = {
  data: (connection, bytes) => void connection.send(bytes),
  thaw: () => {},
}

test('departure: output that does not leave keeps a connection where it is, and it is served on', async () => {
  const limits = { sendBufferHighBytes: 64 * 1024, sendBufferLowBytes: 16 * 1024 }
  let writable = 0
  await using fixture = new MoveFixture({ tcp: { ...echo, writable: () => void writable++ } }, { limits })
  const { client, connection } = await fixture.pair<never>()
  client.pause()
  const total = 8 * 1024 * 1024
  connection.send(Buffer.alloc(total, 'x'))
  const answers: boolean[] = []
  connection.drain(DRAIN_MS, (drained) => answers.push(drained))
  client.write('echo me')
  for (let n = 0; n < 10; n++) await turn()
  fixture.timers.run(0)
  assert.deepEqual([answers, fixture.bytesIn], [[], 0])
  fixture.timers.run(DRAIN_MS + 300)
  await until('an answer', () => answers.length === 1)
  assert.deepEqual(answers, [false])
  assert.equal(connection.open, true)
  const received = new Received(client, false)
  client.resume()
  await until('everything, and the echo', () => received.bytes === total + 7)
  assert.equal(writable, 1)
  await moved(fixture, connection)
})

test('departure: it waits for output that does leave, and the handler hears of it first', async () => {
  const limits = { sendBufferHighBytes: 64 * 1024, sendBufferLowBytes: 16 * 1024 }
  const calls: string[] = []
  await using fixture = new MoveFixture(
    {
      tcp: {
        data: () => {},
        writable(connection) {
          calls.push('writable')
          if (calls.length === 1) connection.send('tail')
        },
        freeze: () => void calls.push('freeze'),
        thaw: () => {},
      },
    },
    { limits },
  )
  const { client, connection } = await fixture.pair<never>()
  client.pause()
  const total = 8 * 1024 * 1024
  connection.send(Buffer.alloc(total, 'x'))
  const moving = moved(fixture, connection)
  await turn()
  const received = new Received(client, false)
  client.resume()
  const there = await moving
  assert.deepEqual(calls, ['writable', 'freeze'])
  there.send('!')
  await until('everything', () => received.bytes === total + 5)
  assert.deepEqual([fixture.loops[0].unsentBytes, fixture.loops[1].unsentBytes], [0, 0])
})

test('departure: a connection that ends while it drains does not move', async () => {
  for (const end of ['close', 'destroy', 'peer'] as const) {
    await using fixture = new MoveFixture({ tcp: echo })
    const { client, connection } = await fixture.pair<never>()
    client.on('error', () => {})
    client.pause()
    connection.send(Buffer.alloc(8 * 1024 * 1024, 'x'))
    const answers: boolean[] = []
    connection.drain(DRAIN_MS, (drained) => answers.push(drained))
    await turn()
    if (end === 'close') connection.close()
    else if (end === 'destroy') connection.destroy('server')
    else client.resetAndDestroy()
    if (end === 'peer') fixture.timers.run(DRAIN_MS + 300)
    await until('an answer', () => answers.length > 0)
    assert.deepEqual(answers, [false], end)
    assert.equal(connection.freeze(), undefined)
    client.destroy()
    await until('gone', () => fixture.size === 0)
    assert.equal(fixture.timers.wheel.stats.scheduled, 0)
  }
})

test('departure: whoever asked need not freeze', async () => {
  await using fixture = new MoveFixture({ tcp: echo })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  const answers: boolean[] = []
  connection.drain(DRAIN_MS, (drained) => answers.push(drained))
  connection.drain(DRAIN_MS, (drained) => answers.push(drained))
  assert.deepEqual(answers, [], 'not before it returns')
  await until('answers', () => answers.length === 2)
  assert.deepEqual(answers.sort(), [false, true], 'one at a time')
  assert.equal(connection.freeze(), undefined, 'only inside of done')
  client.write('x')
  await until('echo', () => received.text === 'x')
})

test('departure: a drain in vain does not count as silence', async () => {
  let timeouts = 0
  await using fixture = new MoveFixture({ tcp: { ...echo, timeout: () => void timeouts++ } })
  const { client, connection } = await fixture.pair<never>()
  connection.setTimeout(700)
  client.pause()
  connection.send(Buffer.alloc(8 * 1024 * 1024, 'x'))
  await turn()
  fixture.timers.run(0)
  fixture.timers.run(400)
  const answers: boolean[] = []
  connection.drain(DRAIN_MS, (drained) => answers.push(drained))
  fixture.timers.run(0)
  fixture.timers.run(DRAIN_MS + 20)
  await until('an answer', () => answers.length === 1)
  fixture.timers.run(200)
  assert.equal(timeouts, 0, 'not early')
  fixture.timers.run(200)
  assert.equal(timeouts, 1, '700 ms of silence')
})

test('departure: a handler that was told to wait is told to go on before the connection leaves', async () => {
  const limits = { sendBufferHighBytes: 1024, sendBufferLowBytes: 256 }
  const calls: string[] = []
  await using fixture = new MoveFixture(
    {
      tcp: {
        data: () => {},
        writable: () => void calls.push('writable'),
        freeze: () => void calls.push('freeze'),
        thaw: () => {},
      },
    },
    { limits },
  )
  const { client, connection } = await fixture.pair<never>()
  client.resume()
  // The kernel takes it at once; the handler hears of that in the next tick.
  assert.equal(connection.send(Buffer.alloc(2000)), false)
  await moved(fixture, connection)
  assert.deepEqual(calls, ['writable', 'freeze'])
})

test('departure: while it drains nothing is handed over, not even what was kept and may go on', async () => {
  let seen = ''
  await using fixture = new MoveFixture({
    tcp: {
      data(connection, bytes) {
        seen += bytes.toString('latin1', 0, 1)
        if (seen === 'a') connection.pause()
        return 1
      },
      thaw: () => {},
    },
  })
  const { client, connection } = await fixture.pair<never>()
  client.pause()
  client.write('ab')
  await until('a', () => seen === 'a')
  connection.send(Buffer.alloc(8 * 1024 * 1024))
  const answers: boolean[] = []
  connection.drain(DRAIN_MS, (drained) => answers.push(drained))
  connection.resume()
  for (let n = 0; n < 5; n++) await turn()
  assert.equal(seen, 'a')
  fixture.timers.run(0)
  fixture.timers.run(DRAIN_MS + 20)
  await until('b', () => seen === 'ab')
  assert.deepEqual(answers, [false])
})

for (const speaks of [{ tcp: echo }, { ws: { message: () => {}, thaw: () => {} } }]) {
  const name = Object.keys(speaks).join()
  test(`departure: a connection that is closed instead of frozen waits for its peer as any other (${name})`, async () => {
    await using fixture = new MoveFixture(speaks, { limits: { closeTimeoutMs: 5000 } })
    const { connection } = await fixture.pair<never>()
    connection.setTimeout(60_000)
    connection.drain(DRAIN_MS, () => connection.close())
    await until('closing', () => !connection.open)
    fixture.timers.run(0)
    fixture.timers.run(4900)
    assert.equal(fixture.size, 1)
    fixture.timers.run(300)
    await until('dropped', () => fixture.size === 0)
  })
}
