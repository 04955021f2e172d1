import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../../src/net/connection.ts'
import type { TcpHandler } from '../../src/net/handler.ts'
import { figureOf, openConnections, serviceColumn } from '../../src/observe/figure.ts'
import { Received, turn, until } from './loop-fixture.ts'
import { DRAIN_MS, MoveFixture, moved } from './move-fixture.ts'

const echo: TcpHandler<void> = {
  data: (connection, bytes) => void connection.send(bytes),
  thaw: () => {},
}

test('move: a connection goes on in the other loop, and the books of both say where it is', async () => {
  await using fixture = new MoveFixture({ tcp: echo })
  const { client, connection } = await fixture.pair<never>({ session: 'alice' })
  const received = new Received(client)
  client.write('one ')
  await until('echo', () => received.text === 'one ')
  const there = await moved(fixture, connection)
  client.write('two ')
  await until('echo', () => received.text === 'one two ')
  there.send('three')
  await until('send', () => received.text === 'one two three')
  assert.deepEqual(
    [there.id, there.serial, there.session, there.service, there.remote.port],
    [connection.id, connection.serial, 'alice', 0, client.localPort],
  )
  assert.equal(fixture.loops[0].get(connection.id), undefined)
  assert.equal(fixture.loops[1].get(connection.id), there)
  assert.deepEqual([connection.open, connection.movable, there.open, there.movable], [false, false, true, true])
  const [first, second] = [fixture.table.row(8), fixture.table.row(9)]
  assert.equal(figureOf(first, serviceColumn(0, 'departed')), 1)
  assert.equal(figureOf(second, serviceColumn(0, 'arrived')), 1)
  client.end()
  await until('the end', () => fixture.size === 0)
  assert.deepEqual(fixture.removed, [connection.id])
  assert.equal(openConnections(second, 0), 0)
  assert.equal(figureOf(first, serviceColumn(0, 'closed')), 0)
})

test('move: the state travels, open and close are not called', async () => {
  const calls: string[] = []
  await using fixture = new MoveFixture({
    tcp: {
      open() {
        calls.push('open')
        return { words: ['opened'] }
      },
      data: (connection: Connection<{ words: string[] }>, bytes) => void connection.state.words.push(String(bytes)),
      freeze: (connection: Connection<{ words: string[] }>) => connection.state.words,
      thaw(connection: Connection<{ words: string[] }>, frozen) {
        connection.send('hello again')
        return { words: [...(frozen as string[]), 'thawed'] }
      },
      close: (connection: Connection<{ words: string[] }>) => void calls.push(`close ${connection.state.words}`),
    },
  })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  client.write('a')
  await until('a', () => fixture.bytesIn === 1)
  await moved(fixture, connection)
  await until('hello', () => received.text === 'hello again')
  client.write('b')
  await until('b', () => fixture.bytesIn === 2)
  client.end()
  await until('the end', () => fixture.size === 0)
  assert.deepEqual(calls, ['open', 'close opened,a,thawed,b'])
})

test('move: bytes that a handler did not take, and those it was paused before, come first on the other side', async () => {
  let seen = ''
  await using fixture = new MoveFixture({
    tcp: {
      data(connection, bytes) {
        seen += bytes.toString('latin1', 0, 1)
        connection.pause()
        return 1
      },
      thaw: () => {},
    },
  })
  const { client, connection } = await fixture.pair<never>()
  client.write('abc')
  await until('a', () => seen === 'a')
  client.write('d')
  let one: Connection = await moved(fixture, connection)
  for (const wanted of ['ab', 'abc', 'abcd']) {
    assert.equal(one.paused, true)
    for (let n = 0; n < 5; n++) await turn()
    assert.equal(seen, wanted.slice(0, -1), 'a paused connection stays so')
    one.resume()
    await until(wanted, () => seen === wanted)
    one = await moved(fixture, one as Connection<never>)
  }
})

test('move: what a handler leaves for later is handed over together with what follows', async () => {
  const seen: string[] = []
  await using fixture = new MoveFixture({
    tcp: {
      data(_connection, bytes) {
        seen.push(bytes.toString())
        return bytes.length < 4 ? 0 : bytes.length
      },
      thaw: () => {},
    },
  })
  const { client, connection } = await fixture.pair<never>()
  client.write('ab')
  await until('first', () => seen.length === 1)
  await moved(fixture, connection)
  client.write('cd')
  await until('second', () => seen.at(-1) === 'abcd')
})

test('move: a resume during the drain takes effect on the other side', async () => {
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
  client.write('ab')
  await until('a', () => seen === 'a')
  const moving = moved(fixture, connection)
  connection.resume()
  await moving
  await until('b', () => seen === 'ab')
})

test('move: a FIN stays behind the bytes that a paused connection keeps', async () => {
  const calls: string[] = []
  await using fixture = new MoveFixture({
    tcp: {
      data(connection, bytes) {
        calls.push(bytes.toString('latin1', 0, 1))
        connection.pause()
        return 1
      },
      end(connection) {
        calls.push('end')
        connection.close()
      },
      thaw: () => {},
    },
  })
  const { client, connection } = await fixture.pair<never>()
  client.end('ab')
  await until('a', () => calls.length === 1)
  const there = await moved(fixture, connection)
  for (let n = 0; n < 10; n++) await turn()
  assert.deepEqual(calls, ['a'])
  there.resume()
  await until('b', () => calls.length === 2)
  there.resume()
  await until('gone', () => fixture.size === 0)
  assert.deepEqual(calls, ['a', 'b', 'end'])
})

for (const when of ['before', 'during']) {
  test(`move: a FIN that came ${when} it ends the connection on the other side`, async () => {
    const reasons: string[] = []
    await using fixture = new MoveFixture({
      tcp: { ...echo, close: (_connection, reason) => void reasons.push(reason) },
    })
    const { client, connection } = await fixture.pair<never>()
    const received = new Received(client)
    if (when === 'before') {
      connection.pause()
      client.end('last words')
      for (let n = 0; n < 5; n++) await turn()
    }
    const posted = await fixture.send(connection)
    assert.ok(posted !== undefined)
    if (when === 'during') {
      client.end('last words')
      for (let n = 0; n < 5; n++) await turn()
    }
    const there = fixture.thaw(posted, connection.loop)
    there.resume()
    await until('FIN', () => received.ended)
    assert.equal(received.text, 'last words')
    await until('gone', () => fixture.size === 0)
    assert.deepEqual(reasons, ['client'])
  })
}

for (const paused of [false, true]) {
  test(`move: a half-closed connection goes on sending${paused ? ' while paused' : ''}, and its end is told once`, async () => {
    let ends = 0
    await using fixture = new MoveFixture({ tcp: { data: () => {}, end: () => void ends++, thaw: () => {} } })
    const { client, connection } = await fixture.pair<never>()
    const received = new Received(client)
    client.end('x')
    await until('end', () => ends === 1)
    if (paused) connection.pause()
    const there = await moved(fixture, connection)
    const back = await moved(fixture, there as Connection<never>)
    for (let n = 0; n < 5; n++) await turn()
    assert.equal(ends, 1)
    back.send('still here')
    await until('answer', () => received.text === 'still here')
    back.close()
    await until('gone', () => fixture.size === 0)
    assert.equal(received.ended, true)
  })
}

test('move: a handler without thaw, and an outbound connection, cannot', async () => {
  await using fixture = new MoveFixture({ tcp: { data: () => {} } })
  const { client, connection } = await fixture.pair<never>()
  assert.equal(connection.movable, false)
  assert.equal(await fixture.move(connection), undefined)
  await using movable = new MoveFixture({ tcp: echo })
  const port = (client.remotePort ?? 0) as number
  assert.equal(movable.loops[0].connect({ address: '127.0.0.1', port }, movable.framing()).movable, false)
})

test('move: the idle timeout goes on where it stopped, and the way does not count', async () => {
  const reasons: string[] = []
  await using fixture = new MoveFixture({
    tcp: {
      open: (connection) => connection.setTimeout(1000),
      data: () => {},
      thaw: () => {},
      close: (_connection, reason) => void reasons.push(reason),
    },
  })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  fixture.timers.run(0)
  fixture.timers.run(600)
  const posted = await fixture.send(connection)
  assert.ok(posted !== undefined)
  assert.ok(posted.frozen.idleMs >= 600 && posted.frozen.idleMs < 610, `${posted.frozen.idleMs}`)
  assert.equal(fixture.timers.wheel.stats.scheduled, 0)
  fixture.timers.run(5000)
  fixture.thaw(posted, connection.loop)
  fixture.timers.run(0)
  fixture.timers.run(390)
  for (let n = 0; n < 5; n++) await turn()
  assert.equal(received.ended, false, 'not early')
  fixture.timers.run(60)
  await until('FIN', () => received.ended)
  client.end()
  await until('gone', () => fixture.size === 0)
  assert.deepEqual(reasons, ['idle_timeout'])
})

test('move: what is sent to the object left behind goes after the connection', async () => {
  await using fixture = new MoveFixture({
    tcp: {
      data: () => {},
      freeze: (connection) => void connection.send('from freeze'),
      thaw: () => {},
    },
  })
  const { connection } = await fixture.pair<never>()
  await moved(fixture, connection)
  connection.send('text')
  connection.sendFrame(Buffer.from('frame'))
  connection.close(4000, 'enough')
  connection.destroy('server')
  connection.pause()
  connection.resume()
  connection.setTimeout(10)
  assert.deepEqual(fixture.forwarded, ['1 text from freeze', '1 text text', '1 binary frame', '1 close 4000 enough'])
  assert.equal(fixture.loops[1].size, 1)
  assert.equal(fixture.timers.wheel.stats.scheduled, 0)
})

test('move: a promise that fails after it closes the connection where it is now', async () => {
  const { promise, reject } = Promise.withResolvers<void>()
  await using fixture = new MoveFixture({ tcp: { data: () => promise, thaw: () => {} } })
  const { client, connection } = await fixture.pair<never>()
  client.write('x')
  await until('data', () => fixture.bytesIn === 1)
  await moved(fixture, connection)
  reject(new Error('late'))
  await until('forwarded', () => fixture.forwarded.length === 1)
  assert.deepEqual(fixture.forwarded, ['1 close 1011 internal error'])
  assert.equal(fixture.failures.length, 1)
})

for (const failing of ['freeze', 'thaw'] as const) {
  test(`move: a ${failing} that throws ends the connection, and only it`, async () => {
    const reasons: string[] = []
    const fails = (): never => {
      throw new Error('no')
    }
    await using fixture = new MoveFixture({
      tcp: {
        data: (connection, bytes) => void connection.send(bytes),
        thaw: () => {},
        [failing]: fails,
        close: (_connection, reason) => void reasons.push(reason),
      },
    })
    const { client, connection } = await fixture.pair<never>()
    const received = new Received(client)
    const there = await fixture.move(connection)
    assert.equal(there === undefined, failing === 'freeze')
    await until('FIN', () => received.ended)
    client.end()
    await until('gone', () => fixture.size === 0)
    assert.deepEqual(reasons, ['handler_error'])
    assert.equal(fixture.failures.length, 1)
  })
}

test('move: a state that cannot be cloned leaves the connection where it was', async () => {
  await using fixture = new MoveFixture({
    tcp: { ...echo, freeze: () => () => {}, thaw: () => {} },
  })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  const { port1 } = new MessageChannel()
  let again: Connection | undefined
  connection.drain(DRAIN_MS, () => {
    const leaving = connection.freeze()
    assert.ok(leaving !== undefined)
    const { frozen, handle } = leaving
    assert.throws(
      () => port1.postMessage({ frozen, handle }, [handle as unknown as MessagePort]),
      /could not be cloned/,
    )
    again = fixture.loops[0].thaw(frozen, handle, fixture.framing(frozen))
  })
  await until('it is back', () => again !== undefined)
  client.write('still here')
  await until('echo', () => received.text === 'still here')
  assert.equal(openConnections(fixture.table.row(8), 0), 0, 'it left and came back')
  port1.close()
})

test('move: a low-priority connection that waits for its turn waits on the other side', async () => {
  await using fixture = new MoveFixture(
    {
      tcp: {
        ...echo,
        open(connection) {
          connection.lowPriority = true
        },
      },
    },
    { limits: { lowPriorityBudget: 1 } },
  )
  const pairs = []
  for (let n = 0; n < 6; n++) pairs.push(await fixture.pair<never>())
  const received = pairs.map(({ client }) => new Received(client))
  for (const { client } of pairs) client.write('x')
  await until('first', () => received.some(({ bytes }) => bytes === 1))
  for (const { connection } of pairs) {
    const there = await moved(fixture, connection)
    assert.equal(there.lowPriority, true)
  }
  await until('all', () => received.every(({ text }) => text === 'x'))
})
