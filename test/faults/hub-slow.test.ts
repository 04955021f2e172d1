// A subscriber that does not read: it is closed when too much waits for it, nobody else waits, and its session lives on.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'

const TEXT = 'x'.repeat(200_000)
/** More than its limit and the kernel's buffers hold. */
const EVENTS = 80

test('hub slow: who does not read is closed with 1008, others get every event, and its session the rest', async () => {
  await using hub = await HubServer.start({
    shards: 1,
    hub: { rateLimits: MANY_BROADCASTS },
    settings: { 'net.sendBuffer.high': '128KiB', 'net.sendBuffer.max': '512KiB' },
  })
  using admin = await hub.admin()
  using reader = await hub.enter()
  using slow = await hub.enter()
  for (const client of [reader, slow]) await client.subscribe('metrics')
  const token = await slow.token()
  slow.socket.raw.pause()
  for (let number = 1; number <= EVENTS; number++) {
    await admin.broadcast('metrics', { number, TEXT })
    assert.equal((await reader.nextEvent()).data.number, number)
  }
  using back = await hub.resume(token)
  const missed = Number((await back.next()).missed)
  assert.ok(missed > 0)
  slow.socket.raw.resume()
  for (let number = 1; number <= EVENTS; number++) {
    const client = number <= EVENTS - missed ? slow : back
    assert.equal((await client.nextEvent()).data.number, number)
  }
  assert.deepEqual(await slow.closed, { code: 1008, reason: 'client too slow' })
})
