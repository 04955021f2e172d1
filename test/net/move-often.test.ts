import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import type { Connection } from '../../src/net/connection.ts'
import { Received, turn, until } from './loop-fixture.ts'
import { MoveFixture, moved } from './move-fixture.ts'

test('move: 100 moves under a flood lose nothing and keep the order', async () => {
  let next = 0
  let wrong = 0
  await using fixture = new MoveFixture({
    tcp: {
      open: () => '',
      data(connection: Connection<string>, bytes) {
        const lines = (connection.state + bytes.toString('latin1')).split('\n')
        connection.state = lines.pop() ?? ''
        for (const line of lines) if (Number(line) !== next++) wrong++
        connection.send(lines.map((line) => `${line}\n`).join(''))
      },
      freeze: (connection: Connection<string>) => connection.state,
      thaw: (_connection, frozen) => frozen as string,
    },
  })
  const { client, connection } = await fixture.pair<never>()
  let echoed = 0
  let rest = ''
  client.on('data', (data: Buffer) => {
    const lines = (rest + data.toString('latin1')).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (Number(line) !== echoed++) wrong++
  })
  let sent = 0
  let flooding = true
  const flood = (): void => {
    if (!flooding) return
    let text = ''
    for (let n = 0; n < 500; n++) text += `${sent++}\n`
    if (client.write(text)) setImmediate(flood)
    else client.once('drain', flood)
  }
  flood()
  let one: Connection = connection
  for (let n = 0; n < 100; n++) one = await moved(fixture, one as Connection<never>)
  flooding = false
  await until('every echo', () => echoed === sent)
  assert.deepEqual([wrong, next], [0, sent])
  assert.ok(sent > 10_000, `${sent} lines`)
})

const DESCRIPTORS = process.platform === 'linux' ? '/proc/self/fd' : '/dev/fd'

test('move: 500 moves leave no descriptor and no timer behind', async () => {
  await using fixture = new MoveFixture({
    tcp: {
      data: (one, bytes) => void one.send(bytes),
      thaw: () => {},
      open: (connection) => connection.setTimeout(60_000),
    },
  })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  let one: Connection = await moved(fixture, connection)
  for (let n = 0; n < 5; n++) await turn()
  const before = readdirSync(DESCRIPTORS).length
  for (let n = 0; n < 500; n++) one = await moved(fixture, one as Connection<never>)
  for (let n = 0; n < 5; n++) await turn()
  assert.equal(readdirSync(DESCRIPTORS).length, before)
  assert.equal(fixture.timers.wheel.stats.scheduled, 1)
  assert.equal(fixture.size, 1)
  client.write('alive')
  await until('echo', () => received.text === 'alive')
})
