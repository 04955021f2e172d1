// Cuts at any byte while events flow: handlers get each event once and in order, whatever was on its way.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ErrorReport, NeurographWSClient } from '../../clients/typescript/src/index.ts'
import { HubServer, tokenOf } from '../harness/hub-server.ts'
import { Relay } from '../harness/relay.ts'
import { waitUntil } from '../harness/wait.ts'

const EVENTS = 200
const READERS = 4
/** Between two cuts, over all readers: now and then in the middle of a handshake, or of what was missed. */
const BYTES_MAX = 12_000
const PADDING = 'x'.repeat(300)

test('client: each event once and in order over connections that are cut at any byte', async (context) => {
  await using hub = await HubServer.start({ hub: { rateLimitBurst: 10_000 } })
  await using relay = await Relay.to(hub.server.port('hub.ws'))
  const token = tokenOf({ sub: 'admin' })
  const admin = new NeurographWSClient({ url: hub.url(), token })
  await admin.connect()
  const readers = Array.from({ length: READERS }, (_, index) => {
    const url = `ws://127.0.0.1:${relay.port}/ws`
    const options = { url, token, reconnectDelay: 1, maxReconnectAttempts: 1000 }
    return new NeurographWSClient({ ...options, compression: index % 2 === 0 ? 'none' : 'gzip' })
  })
  context.after(() => Promise.all([admin, ...readers].map((client) => client.close())))
  const reports: ErrorReport[] = []
  const numbers = readers.map((client) => {
    const found: unknown[] = []
    client.subscribe('signals', ({ data }) => found.push((data as unknown as { readonly n: number }).n))
    client.on('error', (report) => reports.push(report))
    return found
  })
  await Promise.all(readers.map((client) => client.connect()))
  for (const client of readers) assert.deepEqual(await client.getSubscriptions(), ['signals'])
  // From the first event on a client knows where it stands.
  await admin.broadcast('signals', { n: 0 })
  await waitUntil('everybody has the first event', () => numbers.every((found) => found.length === 1))

  for (let n = 1; n < EVENTS; n++) {
    if (relay.bytesLeft === Number.POSITIVE_INFINITY) relay.bytesLeft = Math.floor(Math.random() ** 2 * BYTES_MAX)
    await admin.broadcast('signals', { n, padding: n % 10 === 0 ? PADDING.repeat(10) : PADDING })
  }
  relay.bytesLeft = Number.POSITIVE_INFINITY
  await waitUntil('everybody has the last event', () => numbers.every((found) => found.at(-1) === EVENTS - 1), 15_000)
  const wanted = Array.from({ length: EVENTS }, (_, n) => n)
  for (const found of numbers) assert.deepEqual(found, wanted)
  assert.deepEqual(reports, [])
  assert.ok(relay.cuts > 10, `${relay.cuts} connections were cut`)
})
