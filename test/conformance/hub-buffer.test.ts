// What a session keeps of what it missed: at the limit, beyond it, and what is counted. [PROTOCOLS 4.7, 4.12]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { EventFrame, HubClient } from '../harness/hub-client.ts'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'

let hub: HubServer
let admin: HubClient
before(async () => {
  hub = await HubServer.start({ hub: { bufferSize: 20, 'history.size': 50, rateLimits: MANY_BROADCASTS } })
  admin = await hub.admin()
})
after(() => hub[Symbol.asyncDispose]())

test('hub buffer: of more than the buffer the oldest are dropped, and those that the history has lost (H10)', async () => {
  for (const [count, dropped] of [
    [20, 0],
    [21, 1],
    [70, 50],
  ] as const) {
    const client = await hub.enter()
    await client.subscribe('metrics')
    const token = await client.token()
    await client.leave()
    await admin.publish('metrics', 1, count)
    using back = await hub.resume(token)
    const restored = await back.next()
    assert.deepEqual([restored.missed, restored.dropped], [Math.min(20, count), dropped])
    const first = Math.max(1, count - 19)
    const wanted = Array.from({ length: Math.min(20, count) }, (_, index) => first + index)
    assert.deepEqual(await back.numbers(wanted.length), wanted)
  }
})

test('hub buffer: a client with offsets gets what it was told of, then live events; what it does not get is counted', async () => {
  const overflow = async (): Promise<number> => (await hub.server.metrics()).sum('neurograph_ws_buffer_overflow_total')
  const leave = async (): Promise<string> => {
    const client = await hub.enter({ query: { offsets: '1' } })
    await client.subscribe('metrics')
    await admin.publish('metrics', 0, 1)
    position = await client.nextEvent()
    const token = await client.token()
    await client.leave()
    await admin.publish('metrics', 1, 25)
    return token
  }
  let position: EventFrame | undefined
  const before = await overflow()
  using silent = await hub.resume(await leave())
  const restored = await silent.next()
  assert.deepEqual([restored.missed, restored.dropped], [20, 5])
  // While it may still say what it got last: they are not missed.
  await admin.publish('metrics', 26, 3)
  for (let number = 6; number <= 28; number++) {
    const { data, buffered_at: at } = await silent.nextEvent()
    assert.deepEqual([data.number, at !== undefined], [number, number <= 25])
  }
  assert.equal(await overflow(), before + 5)

  using saying = await hub.resume(await leave())
  assert.equal((await saying.next()).dropped, 5)
  const { epoch, offset } = position ?? {}
  const reply = await saying.ask({ type: 'recover', positions: { metrics: { epoch, offset } } })
  assert.deepEqual(reply.channels, { metrics: { recovered: true, missed: 25 } })
  assert.deepEqual(
    await saying.numbers(25),
    Array.from({ length: 25 }, (_, index) => index + 1),
  )
  assert.equal(await overflow(), before + 5, 'the history had what the buffer had not')
})
