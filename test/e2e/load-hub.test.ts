// The load test of the hub: against a hub that is small enough to be wrong in a known way, and against the real one.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { type WebSocket, WebSocketServer } from 'ws'
import type { LoadTestOptions } from '../../src/cli/load/plan.ts'
import { bearer, HubServer, tokenOf } from '../harness/hub-server.ts'
import { assertClean, LOSSY, load, type Outcome, SHORT } from './load-server.ts'

const TOKEN = 'of-an-administrator'
const TIMESTAMP = '2026-01-02T03:04:05.678Z'

interface Broadcast {
  /** Counts those of all members from 1. */
  readonly number: number
  readonly text: string
  readonly id: number
}

/** What a member gets of a broadcast, in the order of subscription. */
type Reaction = (broadcast: Broadcast, member: number) => readonly string[]

interface SmallHub extends AsyncDisposable {
  readonly target: string
  readonly authorizations: Set<string | undefined>
}

const eventOf = (text: string, type = 'load.message'): string =>
  `{"channel":"signals","timestamp":"${TIMESTAMP}","event_type":"${type}","data":{"m":"${text}"}}`
const same: Reaction = ({ text }) => [eventOf(text)]

async function smallHub(react: Reaction, denied: readonly string[] = []): Promise<SmallHub> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  await once(server, 'listening')
  const members: WebSocket[] = []
  const authorizations = new Set<string | undefined>()
  let number = 0
  server.on('connection', (socket, { headers }) => {
    authorizations.add(headers.authorization)
    socket.send('{"type":"connected","client_id":"x"}')
    socket.on('close', () => members.splice(members.indexOf(socket), 1))
    socket.on('message', (data: Buffer) => {
      const request = JSON.parse(data.toString()) as Readonly<Record<string, unknown>>
      if (request.type === 'subscribe') {
        const wanted = request.channels as string[]
        const channels = wanted.filter((channel) => !denied.includes(channel))
        members.push(socket)
        socket.send(JSON.stringify({ type: 'subscribed', channels, denied }))
        return
      }
      const { data: content, id } = request as unknown as { data: { m: string }; id: number }
      const broadcast = { number: ++number, text: content.m, id }
      for (const [index, member] of members.entries()) for (const text of react(broadcast, index)) member.send(text)
      socket.send(`{"type":"broadcast_ack","channel":"signals","subscribers":${members.length},"id":${id}}`)
    })
  })
  return {
    target: `hub://127.0.0.1:${(server.address() as AddressInfo).port}`,
    authorizations,
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function loadHub({ target }: SmallHub, options: LoadTestOptions = {}): Promise<Outcome> {
  return load(target, { ...SHORT, token: TOKEN, ...options })
}

test('load-test hub: every broadcast reaches every subscriber once, in one order', async () => {
  await using hub = await smallHub(same)
  const outcome = await loadHub(hub, { window: 4, threads: 2, subscribers: 3 })
  assertClean(outcome)
  const { fanOut, messages, throughput } = outcome.run
  assert.deepEqual(fanOut?.members, { wanted: 7, opened: 7 })
  assert.ok(fanOut.deliveries > 5 * throughput.answers && fanOut.deliveries <= 7 * messages.sent)
  assert.equal(fanOut.latency.count, fanOut.deliveries)
  assert.deepEqual([...hub.authorizations], [`Bearer ${TOKEN}`])
  const open = await loadHub(hub, { rate: 400, connections: 2, size: 20_000 })
  assertClean(open)
  assert.equal(open.run.messages.sent, 100)
})

test('load-test hub: events of others do no harm, and what the hub refuses is counted with its words', async () => {
  let refused = 0
  await using hub = await smallHub(({ number, text, id }, member) => {
    const others = [eventOf('hello'), eventOf(text, 'signal.detected'), '{"type":"ping","timestamp":"x"}']
    if (number % 5 !== 0) return [...others, eventOf(text)]
    if (member !== 0) return others
    refused++
    return [...others, `{"type":"error","message":"Rate limit exceeded","retry_after":0.1,"id":${id}}`]
  })
  // One sender: its refusal goes to it alone.
  const { status, run } = await loadHub(hub, { rate: 200, connections: 1, subscribers: 1 })
  assert.equal(status, 1)
  assert.ok(refused > 5)
  assert.deepEqual(run.errors.kinds, { failed: refused })
  assert.equal(run.errors.details['failed: Rate limit exceeded'], refused)
  assert.match(run.warnings.join(), /services\.hub\.rateLimits=broadcast=/)
})

test('load-test hub: events that a subscriber misses, gets twice, late or changed', async () => {
  const made = { lost: 0, duplicate: 0, mismatch: 0, reordered: 0 }
  let held: string | undefined
  await using hub = await smallHub(({ number, text }, member) => {
    if (member !== 1) return [eventOf(text)]
    const late = held
    held = undefined
    if (late !== undefined) return [eventOf(text), late]
    switch (number % 20) {
      case 2:
        made.lost++
        return []
      case 7:
        made.duplicate++
        return [eventOf(text), eventOf(text)]
      case 12:
        made.mismatch++
        return [eventOf(`${text.slice(0, -1)}!`)]
      case 17:
        made.reordered++
        held = eventOf(text)
        return []
      default:
        return [eventOf(text)]
    }
  })
  const { status, run } = await loadHub(hub, { ...LOSSY, rate: 800, connections: 1, subscribers: 2 })
  assert.equal(status, 1)
  assert.ok(made.lost > 5)
  assert.deepEqual(run.errors.kinds, made)
  assert.equal(run.errors.details['lost: for a subscriber'], made.lost)
  assert.equal(run.messages.missing, 0)
})

test('load-test hub: a channel that is denied, and subscribers in different orders', async () => {
  await using closed = await smallHub(same, ['signals'])
  const denied = await loadHub(closed, { subscribers: 1 })
  assert.equal(denied.status, 1)
  assert.equal(denied.run.errors.details['rejected: signals is denied'], 4)
  assert.equal(denied.run.errors.details['rejected: subscriber: signals is denied'], 1)
  const held: string[] = []
  await using hub = await smallHub(({ text }, member) => {
    if (member !== 2) return [eventOf(text)]
    // The listener gets events two by two, the newer one first when they are of two senders: each stays in order.
    held.push(text)
    if (held.length < 2) return []
    const pair = held.splice(0)
    const senders = new Set(pair.map((one) => one.slice(3, 6)))
    return (senders.size === 2 ? pair.reverse() : pair).map((one) => eventOf(one))
  })
  const { status, run } = await loadHub(hub, { rate: 400, connections: 2, subscribers: 1 })
  assert.equal(status, 1)
  assert.deepEqual(run.errors.details, { 'reordered: for a subscriber': 1 })
})

test('load-test hub: the real one loses nothing; a session is limited, and who may not broadcast is told', async () => {
  await using hub = await HubServer.start({ hub: { rateLimits: 'broadcast=30/10' } })
  const target = `hub://127.0.0.1:${hub.server.port('hub.ws')}`
  const token = tokenOf({ sub: 'admin' })
  const outcome = await load(target, { ...SHORT, token, rate: 200, subscribers: 20, duration: '500ms' })
  assertClean(outcome)
  assert.equal(outcome.run.messages.sent, 100)
  assert.deepEqual(outcome.run.fanOut?.members, { wanted: 24, opened: 24 })
  const limited = await load(target, { ...SHORT, token, rate: 400, connections: 1 })
  assert.deepEqual(Object.keys(limited.run.errors.details), ['failed: Rate limit exceeded'])
  const viewer = await load(`${target}/status`, {
    ...SHORT,
    token: tokenOf({ sub: 'viewer' }),
    rate: 40,
    connections: 1,
  })
  assert.deepEqual(Object.keys(viewer.run.errors.details), ['failed: Permission denied: broadcast to status'])
  const nobody = await load(target, { ...SHORT, token: 'nonsense', connections: 1 })
  assert.deepEqual(nobody.run.errors.details, { 'rejected: HTTP 403': 1 })
  assert.equal((await hub.fetch('/health', { headers: bearer({ sub: 'admin' }) })).status, 200)
})
