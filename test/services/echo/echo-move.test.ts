import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../../../src/net/connection.ts'
import { OPCODE } from '../../../src/net/websocket/frame.ts'
import { ThreadMetrics } from '../../../src/observe/metrics.ts'
import { ECHO_FAMILIES } from '../../../src/services/echo/counter.ts'
import { echo } from '../../../src/services/echo/echo.ts'
import type { ServiceContext, ServiceHandlers } from '../../../src/services/service.ts'
import { Received, until } from '../../net/loop-fixture.ts'
import { MoveFixture, moved } from '../../net/move-fixture.ts'
import { encodeClientFrame } from '../../net/websocket/client-frame.ts'

/** Echo as one shard runs it, and the figures of that shard. */
class EchoShard {
  readonly handlers: ServiceHandlers
  readonly #metrics = new ThreadMetrics()

  constructor(mode: string, idleTimeout: number) {
    // Echo uses no other part of its context.
    const context = { config: { mode, idleTimeout }, metrics: this.#metrics }
    this.handlers = echo.start(context as unknown as ServiceContext<never>) as ServiceHandlers
  }

  /** Open, and ever opened. */
  connections(transport: 'tcp' | 'ws'): [open: number, total: number] {
    return [
      this.#metrics.gauge(ECHO_FAMILIES.connections).cell({ transport }).value,
      this.#metrics.counter(ECHO_FAMILIES.connectionsTotal).cell({ transport }).value,
    ]
  }
}

function tcpFixture(here: EchoShard, there: EchoShard): MoveFixture {
  const [tcp, ofThere] = [here.handlers.tcp, there.handlers.tcp]
  assert.ok(tcp !== undefined && ofThere !== undefined)
  return new MoveFixture({ tcp }, { there: { tcp: ofThere } })
}

test('echo: a prefixed connection takes its number and its unfinished line along', async () => {
  const [here, there] = [new EchoShard('prefixed', 0), new EchoShard('prefixed', 0)]
  await using fixture = tcpFixture(here, there)
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  const text = 'one\ntwo\n\nthree is a longer line\nlast'
  let one: Connection = connection
  for (const [index, character] of [...text].entries()) {
    client.write(character)
    await until(character, () => fixture.bytesIn === index + 1)
    one = await moved(fixture, one as Connection<never>)
  }
  client.end()
  await until('the end', () => received.ended && fixture.size === 0)
  const echoed = text.split('\n').map((line) => `[Conn ${connection.serial}] ${line}\n`)
  assert.equal(received.text, echoed.join(''))
  assert.deepEqual(
    [here.connections('tcp'), there.connections('tcp')],
    [
      [0, 1],
      [0, 0],
    ],
  )
})

for (const mode of ['raw', 'simple']) {
  test(`echo: a ${mode} connection moves, and counts as one`, async () => {
    const [here, there] = [new EchoShard(mode, 0), new EchoShard(mode, 0)]
    await using fixture = tcpFixture(here, there)
    const { client, connection } = await fixture.pair<never>()
    const received = new Received(client)
    client.write('one ')
    await until('one', () => received.text === 'one ')
    await moved(fixture, connection)
    client.write('two')
    await until('two', () => received.text === 'one two')
    assert.deepEqual(
      [here.connections('tcp'), there.connections('tcp')],
      [
        [0, 1],
        [1, 0],
      ],
    )
  })
}

test('echo: a WebSocket moves, and counts as one', async () => {
  const [here, there] = [new EchoShard('raw', 0), new EchoShard('raw', 0)]
  const [ws, ofThere] = [here.handlers.ws, there.handlers.ws]
  assert.ok(ws !== undefined && ofThere !== undefined)
  await using fixture = new MoveFixture({ ws }, { there: { ws: ofThere } })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  client.write(encodeClientFrame({ opcode: OPCODE.text, payload: 'a' }))
  await until('a', () => received.text === '\x81\x01a')
  await moved(fixture, connection)
  client.write(encodeClientFrame({ opcode: OPCODE.text, payload: 'b' }))
  await until('b', () => received.text === '\x81\x01a\x81\x01b')
  assert.deepEqual(
    [here.connections('ws'), there.connections('ws')],
    [
      [0, 1],
      [1, 0],
    ],
  )
})

test('echo: a silent connection has its idle timeout from where it is now, less the silence it brings', async () => {
  const [here, there] = [new EchoShard('raw', 60_000), new EchoShard('raw', 1000)]
  await using fixture = tcpFixture(here, there)
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  fixture.timers.run(0)
  fixture.timers.run(600)
  await moved(fixture, connection)
  fixture.timers.run(0)
  fixture.timers.run(390)
  assert.equal(fixture.at(connection.id)?.open, true, 'not early')
  fixture.timers.run(60)
  await until('FIN', () => received.ended)
})
