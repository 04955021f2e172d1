// Offsets, and clients that say what they got last. [PROTOCOLS 4.7]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { EventFrame, HubClient } from '../harness/hub-client.ts'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'

const SIZE = 30

let hub: HubServer
let admin: HubClient
before(async () => {
  hub = await HubServer.start({
    hub: {
      'history.size': SIZE,
      rateLimits: MANY_BROADCASTS,
      channels: 'metrics,status,tick',
      'roles.subscribe': 'anonymous=*,admin=*',
    },
  })
  admin = await hub.admin()
})
after(() => hub[Symbol.asyncDispose]())

function positionOf({ epoch, offset }: EventFrame): object {
  return { epoch, offset }
}

test('hub offsets: only for those who asked, by query or by options, and counted without a hole', async () => {
  using plain = await hub.enter()
  using queried = await hub.enter({ query: { offsets: '1' } })
  using optioned = await hub.enter()
  assert.equal((await optioned.ask({ type: 'set_options', offsets: true })).offsets, true)
  for (const client of [plain, queried, optioned]) await client.subscribe('metrics')
  await admin.publish('metrics', 1, 3)
  assert.ok((await plain.events(3)).every((event) => !('offset' in event) && !('epoch' in event)))
  const [one, two] = [await queried.events(3), await optioned.events(3)]
  assert.deepEqual(one, two)
  const first = one[0]?.offset ?? 0
  assert.deepEqual(
    one.map(({ offset }) => offset),
    [first, first + 1, first + 2],
  )
  assert.match(one[0]?.epoch ?? '', /^\d+$/)
})

test('hub offsets: recover after a restore: the reply, what was missed, then live ones; nothing of the buffer', async () => {
  const client = await hub.enter({ query: { offsets: '1' } })
  await client.subscribe('metrics', 'status')
  await admin.publish('metrics', 1, 3)
  const got = await client.events(3)
  const token = await client.token()
  await client.leave()
  await admin.publish('metrics', 4, 2)
  await admin.publish('status', 6, 1)
  using back = await hub.resume(token)
  const restored = await back.next()
  assert.equal(restored.missed, 3)
  // The last one was lost on its way: it says so.
  back.send({ type: 'recover', positions: { metrics: positionOf(got[1] as EventFrame) }, id: 1 })
  const reply = await back.next()
  assert.deepEqual(Object.keys(reply), ['type', 'channels', 'timestamp', 'id'])
  assert.deepEqual(reply.channels, { metrics: { recovered: true, missed: 3 } })
  const missed = await back.events(4)
  assert.deepEqual(
    missed.map(({ data }) => data.number),
    [3, 4, 5, 6],
  )
  assert.ok(missed.every((event) => event.buffered_at === undefined && event.offset !== undefined))
  await admin.publish('metrics', 7)
  assert.equal((await back.nextEvent()).data.number, 7)
})

test('hub offsets: a client that does not say anything gets what was buffered, and recovers nothing twice', async () => {
  const client = await hub.enter({ query: { offsets: '1' } })
  await client.subscribe('metrics')
  await admin.publish('metrics', 1)
  const [first] = await client.events(1)
  const token = await client.token()
  await client.leave()
  await admin.publish('metrics', 2, 2)
  using back = await hub.resume(token)
  await back.next()
  const missed = await back.events(2)
  assert.deepEqual(
    missed.map(({ data, buffered_at: at }) => [data.number, at !== undefined]),
    [
      [2, true],
      [3, true],
    ],
  )
  const reply = await back.ask({ type: 'recover', positions: { metrics: positionOf(first as EventFrame) } })
  assert.deepEqual(reply.channels, { metrics: { recovered: true, missed: 0 } })
  await admin.publish('metrics', 4)
  assert.equal((await back.nextEvent()).data.number, 4)
})

test('hub offsets: what is subscribed before `recover` comes once', async () => {
  const client = await hub.enter({ query: { offsets: '1' } })
  await client.subscribe('metrics')
  await admin.publish('metrics', 1)
  const [first] = await client.events(1)
  const token = await client.token()
  await client.leave()
  using back = await hub.resume(token)
  await back.next()
  await back.subscribe('status')
  await admin.publish('status', 2)
  assert.equal((await back.nextEvent()).data.number, 2)
  const reply = await back.ask({ type: 'recover', positions: { metrics: positionOf(first as EventFrame) } })
  assert.deepEqual(reply.channels, { metrics: { recovered: true, missed: 0 } })
  await admin.publish('status', 3)
  assert.equal((await back.nextEvent()).data.number, 3)
})

test('hub offsets: who names a later position first gets nothing twice', async () => {
  using client = await hub.enter({ query: { offsets: '1' } })
  await client.subscribe('metrics')
  await admin.publish('metrics', 1, 4)
  const got = await client.events(4)
  for (const index of [3, 1, 0]) {
    const reply = await client.ask({ type: 'recover', positions: { metrics: positionOf(got[index] as EventFrame) } })
    assert.deepEqual(reply.channels, { metrics: { recovered: true, missed: 0 } })
  }
  await admin.publish('metrics', 5)
  assert.equal((await client.nextEvent()).data.number, 5)
})

test('hub offsets: recover after a new subscribe gives what was before it', async () => {
  const client = await hub.enter({ query: { offsets: '1' } })
  await client.subscribe('metrics')
  await admin.publish('metrics', 1)
  const [first] = await client.events(1)
  await client.leave()
  await admin.publish('metrics', 2, 3)
  using other = await hub.enter({ query: { offsets: '1' } })
  await other.subscribe('metrics')
  await admin.publish('metrics', 5)
  assert.equal((await other.nextEvent()).data.number, 5)
  other.send({
    type: 'recover',
    positions: { metrics: positionOf(first as EventFrame), tick: positionOf(first as EventFrame) },
  })
  const reply = await other.next()
  assert.deepEqual(reply.channels, {
    metrics: { recovered: true, missed: 3 },
    tick: { recovered: false, missed: 0 },
  })
  assert.deepEqual(
    (await other.events(3)).map(({ data }) => data.number),
    [2, 3, 4],
  )
  await admin.publish('metrics', 6)
  assert.equal((await other.nextEvent()).data.number, 6)
})

test('hub offsets: at the reach of the history, one behind it, another epoch, and an offset nobody gave', async () => {
  using teller = await hub.enter({ query: { offsets: '1' } })
  await teller.subscribe('tick')
  await admin.publish('tick', 1, SIZE + 1)
  const [first, second] = await teller.events(SIZE + 1)
  const recovered = async (position: object): Promise<unknown> => {
    const client = await hub.enter({ query: { offsets: '1' } })
    await client.subscribe('tick')
    const { channels } = await client.ask({ type: 'recover', positions: { tick: position } })
    const { tick } = channels as { readonly tick: { readonly recovered: boolean; readonly missed: number } }
    assert.equal((await client.events(tick.missed)).length, tick.missed)
    await client.leave()
    return tick
  }
  // The history has all but the first.
  assert.deepEqual(await recovered(positionOf(first as EventFrame)), { recovered: true, missed: SIZE })
  assert.deepEqual(await recovered(positionOf(second as EventFrame)), { recovered: true, missed: SIZE - 1 })
  const { epoch, offset = 0 } = first as EventFrame
  assert.deepEqual(await recovered({ epoch, offset: offset - 1 }), { recovered: false, missed: SIZE })
  assert.deepEqual(await recovered({ epoch: '1', offset }), { recovered: false, missed: SIZE })
  assert.deepEqual(await recovered({ epoch: 'none', offset }), { recovered: false, missed: SIZE })
  assert.deepEqual(await recovered({ epoch, offset: offset + 1_000 }), { recovered: false, missed: 0 })
})

test('hub offsets: positions that are none are refused', async () => {
  using client = await hub.enter({ query: { offsets: '1' } })
  for (const positions of [
    undefined,
    [],
    'x',
    { metrics: 1 },
    { metrics: { epoch: 1, offset: 1 } },
    { metrics: { epoch: '1', offset: -1 } },
  ]) {
    const reply = await client.ask({ type: 'recover', positions })
    assert.deepEqual(reply, { type: 'error', message: 'positions must be an object of {epoch, offset}' })
  }
})
