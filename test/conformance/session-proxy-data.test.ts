// What goes through an open session (PROTOCOLS 5.2): every row of the table, order, several connections. S3 to S7.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { GAP, nextText, RedisProxy } from '../harness/proxy-server.ts'
import { pause, waitUntil, within } from '../harness/wait.ts'

const MAX_BYTES = 1_048_576
const TOO_LARGE = '{"error":"Message too large","max_size":1048576}'
const NO_JSON = '{"error":"Invalid JSON format"}'
const IN_ORDER = 1_000
/** Longer than a message takes, by far. */
const QUIET_MS = 200

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start()
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

test('session-proxy: any JSON value goes upstream byte for byte', async () => {
  using client = await proxy.enter('values')
  using uplink = await proxy.backend.listen('values')
  const values = [
    '{"type":"ping","counter":1,"timestamp":"2026-01-02T03:04:05Z"}',
    'null',
    'true',
    '0',
    '-1.5e+300',
    '123456789012345678901234567890',
    '""',
    '"\\u0000\\ud800"',
    '[]',
    '{}',
    ' \t\r\n{ "b" : 1 , "a" : [ 1,2 ] , "b" : 2 }\n ',
    '{"__proto__":{"constructor":null}}',
    '"жэ😀\u2028\u007f"',
    `${'['.repeat(500)}${']'.repeat(500)}`,
    `"${'x'.repeat(MAX_BYTES - 2)}"`,
  ]
  for (const value of values) {
    client.send(value)
    assert.ok((await uplink.next()).equals(Buffer.from(value)), value.slice(0, 80))
  }
  assert.equal(client.isOver, false)
})

test('session-proxy: a thousand messages keep their order, both ways', async () => {
  using client = await proxy.enter('order')
  using uplink = await proxy.backend.listen('order')
  for (let index = 0; index < IN_ORDER; index++) client.send(`{"n":${index}}`)
  for (let index = 0; index < IN_ORDER; index++) assert.equal(`${await uplink.next()}`, `{"n":${index}}`)
  const published = Array.from({ length: IN_ORDER }, (_, index) => proxy.backend.publish('order', `${index}`))
  await Promise.all(published)
  for (let index = 0; index < IN_ORDER; index++) assert.equal(await nextText(client), `${index}`)
})

test('session-proxy: text that is no JSON is answered, goes nowhere, and the connection stays', async () => {
  using client = await proxy.enter('no-json')
  using uplink = await proxy.backend.listen('no-json')
  const bad = [
    '',
    ' ',
    '{',
    'x',
    "{'a':1}",
    '{"a":1,}',
    '[1 2]',
    'NaN',
    '01',
    '1.',
    '"\n"',
    '\ufeff{}',
    '{} {}',
    '"\\x"',
  ]
  for (const text of bad) {
    client.send(text)
    assert.equal(await nextText(client), NO_JSON, JSON.stringify(text))
  }
  client.send('"after"')
  assert.equal(`${await uplink.next()}`, '"after"')
  assert.equal(uplink.payloads.length, 1)
})

test('session-proxy: text that is not UTF-8 closes with 1007, a binary frame with 1003', async () => {
  using uplink = await proxy.backend.listen('binary', 'utf8')
  using binary = await proxy.enter('binary')
  binary.send(Buffer.from('{}'))
  assert.deepEqual(await within('a close', binary.closed), { code: 1003, reason: 'binary frames are not supported' })
  using broken = await proxy.enter('utf8')
  broken.raw.send(Buffer.from([0x22, 0xff, 0x22]), { binary: false })
  assert.equal((await within('a close', broken.closed)).code, 1007)
  await proxy.backend.redis.publish('session:binary:up', 'the first')
  assert.equal(`${await uplink.next()}`, 'the first')
})

test('session-proxy: a text over 1 MiB is answered and closes with 1009, in one frame and in fragments', async () => {
  using uplink = await proxy.backend.listen('large')
  const text = `"${'x'.repeat(MAX_BYTES - 1)}"`
  assert.equal(text.length, MAX_BYTES + 1)
  const ways: readonly ((send: (part: string, isLast: boolean) => void) => void)[] = [
    (send) => send(text, true),
    (send) => {
      for (let start = 0; start < text.length; start += 65_536) {
        send(text.slice(start, start + 65_536), start + 65_536 >= text.length)
      }
    },
    (send) => {
      send(text.slice(0, -1), false)
      send('"', true)
    },
  ]
  for (const way of ways) {
    using client = await proxy.enter('large')
    way((part, isLast) => client.raw.send(part, { fin: isLast }))
    assert.equal(await nextText(client), TOO_LARGE)
    assert.deepEqual(await within('a close', client.closed), { code: 1009, reason: 'message too large' })
  }
  using exact = await proxy.enter('large')
  const fits = `"${'y'.repeat(MAX_BYTES - 2)}"`
  exact.raw.send(fits.slice(0, 700_000), { fin: false })
  exact.raw.send(fits.slice(700_000), { fin: true })
  assert.ok((await uplink.next()).equals(Buffer.from(fits)), 'exactly 1 MiB passes, in fragments too')
})

test('session-proxy: downstream is text, verbatim, whatever it says', async () => {
  using client = await proxy.enter('down')
  const payloads = ['', 'no json', '{"type":"data","payload":"Message #1"}', ' ж😀\n', '\u0000', 'x'.repeat(MAX_BYTES)]
  for (const payload of payloads) {
    await proxy.backend.publish('down', payload)
    assert.equal(await nextText(client), payload)
  }
})

test('session-proxy: in place of a payload that no thread may send another there is a gap notice', async () => {
  using client = await proxy.enter('huge')
  await proxy.backend.publish('huge', 'before')
  await proxy.backend.publish('huge', 'x'.repeat(2 * MAX_BYTES))
  await proxy.backend.publish('huge', 'after')
  assert.deepEqual([await nextText(client), await nextText(client), await nextText(client)], ['before', GAP, 'after'])
})

test('session-proxy: a payload that is not UTF-8 is dropped and counted', async () => {
  using client = await proxy.enter('dropped')
  const dropped = async (): Promise<number> =>
    (await proxy.server.metrics()).sum('wsproxy_errors_total', { type: 'invalid_utf8' })
  const before = await dropped()
  for (const bytes of [[0xff], [0xc3], [0x61, 0xc0, 0xaf], [0xed, 0xa0, 0x80]]) {
    await proxy.backend.publish('dropped', Buffer.from(bytes))
  }
  await proxy.backend.publish('dropped', 'next')
  assert.equal(await nextText(client), 'next')
  await waitUntil('they are counted', async () => (await dropped()) === before + 4)
})

test('session-proxy: connections of one session all hear, all may speak, and one that ends leaves the others', async () => {
  using uplink = await proxy.backend.listen('shared')
  using first = await proxy.enter('shared')
  using second = await proxy.open('shared')
  using third = await proxy.open('shared')
  assert.equal(await proxy.backend.publish('shared', '1'), 1, 'one subscription for all')
  for (const client of [first, second, third]) assert.equal(await nextText(client), '1')
  for (const [index, client] of [first, second, third].entries()) {
    client.send(`${index}`)
    assert.equal(`${await uplink.next()}`, `${index}`)
  }
  first.close(1000)
  assert.equal((await within('a close', first.closed)).code, 1000)
  third.raw.terminate()
  await waitUntil('two have left', async () => (await proxy.activeConnections()) === 1)
  assert.equal(await proxy.backend.publish('shared', '2'), 1)
  assert.equal(await nextText(second), '2')
  second.send('"still"')
  assert.equal(`${await uplink.next()}`, '"still"')
  second.close()
  await waitUntil('the last one ends the subscription', async () => (await proxy.backend.channels()).length === 0)
})

test('session-proxy: sessions hear nothing of each other, and nothing is kept for nobody', async () => {
  assert.equal(await proxy.backend.publish('lonely', 'early'), 0)
  using lonely = await proxy.enter('lonely')
  using other = await proxy.enter('lonely2')
  await proxy.backend.publish('lonely2', 'for the other')
  await proxy.backend.redis.publish('session:lonely:up', 'not down')
  assert.equal(await nextText(other), 'for the other')
  await pause(QUIET_MS)
  await proxy.backend.publish('lonely', 'late')
  assert.equal(await nextText(lonely), 'late')
})

test('session-proxy: what goes through is counted', async () => {
  const NAMES = [
    ['wsproxy_messages_received_total', { source: 'client' }],
    ['wsproxy_messages_received_total', { source: 'redis' }],
    ['wsproxy_messages_sent_total', { dest: 'client' }],
    ['wsproxy_messages_sent_total', { dest: 'redis' }],
    ['wsproxy_message_latency_seconds_count', { direction: 'up' }],
    ['wsproxy_message_latency_seconds_count', { direction: 'down' }],
    ['wsproxy_errors_total', { type: 'invalid_json' }],
    ['wsproxy_errors_total', { type: 'binary' }],
    ['wsproxy_errors_total', { type: 'too_large' }],
  ] as const
  const figures = async (): Promise<number[]> => {
    const page = await proxy.server.metrics()
    return NAMES.map(([name, labels]) => page.sum(name, labels))
  }
  using first = await proxy.enter('figures')
  using second = await proxy.open('figures')
  using uplink = await proxy.backend.listen('figures')
  const before = await figures()
  await proxy.backend.publish('figures', 'down')
  for (const client of [first, second]) await nextText(client)
  first.send('"up"')
  await uplink.next()
  first.send('{')
  await nextText(first)
  first.raw.send(Buffer.alloc(1))
  await within('a close', first.closed)
  second.send('x'.repeat(MAX_BYTES + 1))
  await within('a close', second.closed)
  const expected = [3, 1, 2, 1, 1, 2, 1, 1, 1]
  const changes = async (): Promise<number[]> => (await figures()).map((value, index) => value - (before[index] ?? 0))
  await waitUntil('the metrics say so', async () => `${await changes()}` === `${expected}`).catch(async () =>
    assert.deepEqual(await changes(), expected),
  )
  const page = await proxy.server.metrics()
  for (const name of ['wsproxy_active_connections', 'wsproxy_redis_pubsub_channels_active']) {
    assert.equal(page.families.get(name), 'gauge')
  }
  assert.equal(page.families.get('wsproxy_buffer_utilization_bytes'), 'gauge')
  assert.equal(page.families.get('wsproxy_message_latency_seconds'), 'histogram')
})
