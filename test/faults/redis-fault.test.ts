// What can happen to a Redis server and to the way to it, each against real servers: whatever it is, calls end in time
// with a code, gaps are told, nothing stays deaf, and nothing grows.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { bytes, Ear, fails, GAP } from '../bridge/bridge-fixture.ts'
import { bridgeTo } from '../bridge/redis-subject.ts'
import { Traffic } from '../bridge/traffic.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { Relay } from '../harness/relay.ts'
import { waitUntil } from '../harness/wait.ts'

const CHANNELS = 100

test('redis: killed and restarted under load', async () => {
  await using server = await startRedis()
  await using subject = await bridgeTo(server.url)
  await using traffic = (await new Traffic(subject.bridge, CHANNELS).open()).start()
  for (let round = 1; round <= 3; round++) {
    await traffic.flows()
    await server.kill()
    await subject.down()
    assert.notEqual((await fails(subject.bridge.get({ key: 'x' }), 'BRIDGE_DOWN')).problem, '')
    // Its two connections do not end at the same time.
    const code = await subject.bridge
      .subscribe('new', new Ear())
      .confirmed.catch((error: { code: string }) => error.code)
    assert.ok(code === 'BRIDGE_DOWN' || code === 'BRIDGE_LOST', String(code))
    await server.start()
    await subject.up()
    await waitUntil('each channel has heard of each gap', () => traffic.gaps >= round * CHANNELS)
  }
  await traffic.stop()
  await traffic.proveAlive()
  traffic.assertGapsTold()
  assert.equal(traffic.gaps, 3 * CHANNELS)
  assert.equal(subject.figures.subscriptions, CHANNELS)
  assert.equal(subject.figures.reconnects, 6)
  assert.deepEqual(
    [...traffic.outcomes.keys()].filter((end) => !['ok', 'BRIDGE_DOWN', 'BRIDGE_LOST'].includes(end)),
    [],
  )
  subject.assertIdle()
})

test('redis: frozen', async () => {
  await using server = await startRedis()
  await using subject = await bridgeTo(server.url)
  await using traffic = (await new Traffic(subject.bridge, CHANNELS).open()).start()
  await traffic.flows()
  server.freeze()
  await subject.down()
  assert.match(subject.figures.problem, /^(no answer within 1000 ms|not connected within 1000 ms)$/)
  // Its port takes connections all the same: they never get ready, and are given up one after another.
  for (let count = 0; count < 5; count++) await fails(subject.bridge.get({ key: 'x' }), 'BRIDGE_DOWN')
  server.thaw()
  await subject.up()
  await traffic.gapsEverywhere()
  await traffic.stop()
  await traffic.proveAlive()
  traffic.assertGapsTold()
  assert.ok(traffic.slowestMs < 4_000, `${traffic.slowestMs} ms`)
  await waitUntil('no connection is left over', () => server.info('connected_clients') === '3')
  subject.assertIdle()
})

test('redis: a password that is wrong, then right', async () => {
  const password = 'right@/: password'
  await using server = await startRedis()
  server.command('CONFIG', 'SET', 'requirepass', password)
  const wrong = server.url.replace('//', '//:wrong-secret@')
  await using subject = await bridgeTo(wrong, {}, false)
  await waitUntil('the server has refused', () => subject.figures.problem.startsWith('WRONGPASS'))
  for (const answer of [
    subject.bridge.get({ key: 'x' }),
    subject.bridge.subscribe('x', new Ear()).confirmed,
    subject.bridge.ping(),
  ]) {
    const details = await fails(answer, 'BRIDGE_REFUSED')
    assert.match(String(details.problem), /^WRONGPASS /)
    assert.doesNotMatch(JSON.stringify(details), /secret/)
  }
  await using none = await bridgeTo(server.url, {}, false)
  await waitUntil('the server wants a password', () => none.figures.problem.startsWith('NOAUTH'))
  await fails(none.bridge.get({ key: 'x' }), 'BRIDGE_REFUSED')
  await using right = await bridgeTo(server.url.replace('//', `//default:${encodeURIComponent(password)}@`))
  assert.equal(await right.bridge.get({ key: 'x' }), undefined)
  await authenticated(server, password, 'wrong-secret')
  await subject.up()
  await (await new Traffic(subject.bridge, 3).open()).proveAlive()
})

/** Changes the password, which the harness does not know. */
function authenticated(server: RedisServer, password: string, next: string): Promise<void> {
  server.command('--no-auth-warning', '-a', password, 'CONFIG', 'SET', 'requirepass', next)
  return Promise.resolve()
}

test('redis: out of memory', async () => {
  await using server = await startRedis()
  await using subject = await bridgeTo(server.url)
  const traffic = await new Traffic(subject.bridge, 3).open()
  const { bridge } = subject
  await bridge.set({ key: 'old', value: bytes('x') })
  server.command('CONFIG', 'SET', 'maxmemory', '1mb')
  const { problem } = await fails(bridge.set({ key: 'new', value: bytes('x') }), 'BRIDGE_REFUSED')
  assert.match(String(problem), /^OOM command not allowed/)
  const entry = { log: 'log', payload: bytes('x'), countMax: 1, ttlSeconds: 9 }
  assert.match(String((await fails(bridge.append(entry), 'BRIDGE_REFUSED')).problem), /OOM command not allowed/)
  assert.deepEqual(await bridge.get({ key: 'old' }), bytes('x'), 'what is there can be read')
  await traffic.proveAlive()
  server.command('CONFIG', 'SET', 'maxmemory', '0')
  await bridge.set({ key: 'new', value: bytes('x') })
  assert.equal((await bridge.append(entry)).offset, 1)
  assert.deepEqual([subject.figures.isUp, subject.figures.reconnects, traffic.gaps], [true, 0, 0])
  subject.assertIdle()
})

test('redis: a server that became read-only is left, and found again', async () => {
  await using server = await startRedis()
  await using other = await startRedis()
  await using subject = await bridgeTo(server.url)
  const traffic = await new Traffic(subject.bridge, CHANNELS).open()
  await traffic.proveAlive()
  server.command('REPLICAOF', '127.0.0.1', other.port)
  await waitUntil('it follows', () => server.info('master_link_status') === 'up')
  for (let count = 0; count < 10; count++) {
    const code = await subject.bridge
      .set({ key: 'x', value: bytes('x') })
      .catch((error: { code: string }) => error.code)
    assert.ok(code === 'BRIDGE_REFUSED' || code === 'BRIDGE_DOWN' || code === 'BRIDGE_LOST', String(code))
  }
  await traffic.gapsEverywhere()
  server.command('REPLICAOF', 'NO', 'ONE')
  await subject.up()
  await subject.bridge.set({ key: 'x', value: bytes('x') })
  await traffic.proveAlive()
  assert.equal(subject.figures.reconnects, 2, 'it does not reconnect for each call')
  subject.assertIdle()
})

test('redis: the output buffer of a subscriber overflows', async () => {
  await using server = await startRedis({ config: ['client-output-buffer-limit pubsub 1mb 0 0'] })
  await using subject = await bridgeTo(server.url)
  const traffic = await new Traffic(subject.bridge, CHANNELS).open()
  await traffic.proveAlive()
  const flood = "for i = 1, 200 do redis.call('PUBLISH', KEYS[1], string.rep('x', 100000)) end"
  server.command('EVAL', flood, 1, traffic.channels[0] ?? '')
  await traffic.gapsEverywhere()
  for (const ear of traffic.ears) ear.heard.splice(0, ear.heard.length)
  await traffic.proveAlive()
  assert.equal(subject.figures.reconnects, 1)
  subject.assertIdle()
})

test('redis: all connections are killed, again and again, under load', async () => {
  await using server = await startRedis()
  await using subject = await bridgeTo(server.url)
  await using traffic = (await new Traffic(subject.bridge, CHANNELS).open()).start()
  for (let round = 1; round <= 10; round++) {
    const { reconnects } = subject.figures
    server.command('CLIENT', 'KILL', 'TYPE', round % 2 === 0 ? 'pubsub' : 'normal')
    await waitUntil('it is back', () => subject.figures.isUp && subject.figures.reconnects > reconnects)
  }
  await traffic.stop()
  await traffic.proveAlive()
  traffic.assertGapsTold()
  assert.equal(traffic.gaps, 5 * CHANNELS)
  subject.assertIdle()
})

test('redis: connections are cut in the middle of a message', async () => {
  await using server = await startRedis()
  await using relay = await Relay.to(server.port)
  await using subject = await bridgeTo(`redis://127.0.0.1:${relay.port}`)
  await using traffic = (await new Traffic(subject.bridge, 5, 20_000).open()).start()
  for (let round = 1; round <= 8; round++) {
    const { reconnects } = subject.figures
    // Each time elsewhere in a message: in its head, its name, its payload, its end.
    relay.bytesLeft = 100_000 + round * 2_741
    await waitUntil('it is back', () => subject.figures.isUp && subject.figures.reconnects >= reconnects + 2)
  }
  await traffic.stop()
  await traffic.proveAlive()
  traffic.assertGapsTold()
  assert.ok(relay.cuts >= 16, `${relay.cuts} cuts`)
  assert.equal(relay.connections, 2)
  subject.assertIdle()
})

test('redis: a way that goes silent is left', async () => {
  await using server = await startRedis()
  await using relay = await Relay.to(server.port)
  await using subject = await bridgeTo(`redis://127.0.0.1:${relay.port}`)
  const traffic = await new Traffic(subject.bridge, CHANNELS).open()
  relay.isStalled = true
  await fails(subject.bridge.get({ key: 'x' }), 'BRIDGE_LOST')
  await subject.down()
  relay.isStalled = false
  await subject.up()
  await traffic.gapsEverywhere()
  await traffic.proveAlive()
  subject.assertIdle()
})

test('redis: slow, so calls wait, are bounded, and end', async () => {
  await using server = await startRedis()
  await using relay = await Relay.to(server.port)
  const limits = { outboxCallsMax: 200, outboxBytesMax: 1_000_000 }
  await using subject = await bridgeTo(`redis://127.0.0.1:${relay.port}`, limits)
  const traffic = await new Traffic(subject.bridge, 5).open()
  relay.delayMs = 200
  const many = await Promise.allSettled(Array.from({ length: 300 }, () => subject.bridge.get({ key: 'x' })))
  const codes = many.map((end) => (end.status === 'fulfilled' ? 'ok' : (end.reason as { code: string }).code))
  assert.deepEqual([codes.lastIndexOf('ok'), codes.indexOf('BRIDGE_BUSY')], [199, 200])
  const value = Buffer.alloc(600_000)
  const [first, second] = await Promise.allSettled([
    subject.bridge.set({ key: 'x', value }),
    subject.bridge.set({ key: 'y', value }),
  ])
  assert.equal(first.status, 'fulfilled')
  assert.equal(second.status, 'rejected')
  relay.delayMs = 0
  server.command('CLIENT', 'PAUSE', 500)
  assert.ok((await subject.bridge.ping()).ms >= 400)
  await traffic.proveAlive()
  assert.deepEqual([subject.figures.isUp, subject.figures.reconnects, traffic.gaps], [true, 0, 0])
  subject.assertIdle()
})

test('redis: a user that may do no more than the page of the bridge says', async () => {
  const page = readFileSync(new URL('../../docs/BRIDGE.md', import.meta.url), 'utf8')
  const [, rules = ''] = /`(\+publish [^`]*)`/.exec(page) ?? []
  assert.ok(rules.split(' ').length > 10)
  await using server = await startRedis()
  server.command(
    'ACL',
    'SETUSER',
    'polyloop',
    'on',
    '>secret',
    'resetkeys',
    '~k*',
    'resetchannels',
    '&k*',
    ...rules.split(' '),
  )
  await using subject = await bridgeTo(server.url.replace('//', '//polyloop:secret@'))
  const { bridge } = subject
  const ear = new Ear()
  await bridge.subscribe('k', ear).confirmed
  assert.equal(await bridge.publish({ channel: 'k', payload: bytes('1') }), 1)
  await bridge.set({ key: 'k', value: bytes('x'), ttlSeconds: 9 })
  assert.equal(await bridge.expire({ key: 'k', ttlSeconds: 9 }), true)
  assert.deepEqual(await bridge.get({ key: 'k' }), bytes('x'))
  assert.deepEqual(await bridge.take({ key: 'k' }), bytes('x'))
  assert.equal(await bridge.remove({ key: 'k' }), false)
  assert.equal((await bridge.append({ log: 'k', payload: bytes('x'), countMax: 1, ttlSeconds: 9 })).offset, 1)
  assert.equal((await bridge.read({ log: 'k', offset: 0, count: 1 })).entries.length, 1)
  await bridge.ping()
  // What is not its own is refused, and does not disturb the rest.
  assert.match(String((await fails(bridge.get({ key: 'x' }), 'BRIDGE_REFUSED')).problem), /^NOPERM /)
  assert.match(String((await fails(bridge.subscribe('x', ear).confirmed, 'BRIDGE_REFUSED')).problem), /^NOPERM /)
  await fails(bridge.publish({ channel: 'x', payload: bytes('1') }), 'BRIDGE_REFUSED')
  assert.equal(await bridge.publish({ channel: 'k', payload: bytes('2') }), 1)
  await ear.hears('2')
  // A right that is taken away: that channel is lost until it is given back, the others come back at once.
  const other = new Ear()
  await bridge.subscribe('k2', other).confirmed
  server.command('ACL', 'SETUSER', 'polyloop', 'resetchannels', '&k2')
  await other.hears(GAP)
  assert.ok(!subject.figures.isUp && !ear.heard.includes(GAP))
  server.command('ACL', 'SETUSER', 'polyloop', '&k')
  await ear.hears(GAP)
  await subject.up()
})

test('redis: not there at first', async () => {
  await using server = await startRedis()
  await server.kill()
  await using subject = await bridgeTo(server.url, {}, false)
  await fails(subject.bridge.get({ key: 'x' }), 'BRIDGE_DOWN')
  await waitUntil('it was tried', () => subject.figures.problem.includes('ECONNREFUSED'))
  assert.deepEqual(subject.loop.states, [])
  await server.start()
  await subject.up()
  assert.deepEqual(subject.loop.states, [[true, '']])
  await (await new Traffic(subject.bridge, 3).open()).proveAlive()
})

test('redis: thousands of channels are subscribed again', async () => {
  await using server = await startRedis()
  await using subject = await bridgeTo(server.url)
  const traffic = await new Traffic(subject.bridge, 3_000).open()
  await server.kill()
  await subject.down()
  await server.start()
  await subject.up()
  await traffic.gapsEverywhere()
  assert.equal(await traffic.round(), 3_000)
  for (const ear of traffic.ears) await ear.hears('1')
  assert.deepEqual(traffic.ears[2_999]?.heard, [GAP, '1'])
  assert.equal(server.info('pubsub_channels'), '3000')
})
