import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRedisAddress, type RedisAddress } from '../../src/lib/redis-address.ts'

function parsed(url: string): RedisAddress {
  const address = parseRedisAddress(url)
  if (typeof address === 'string') assert.fail(`${url}: ${address}`)
  return address
}

test('redis address: one server, with and without everything', () => {
  assert.deepEqual(parsed('redis://localhost'), {
    kind: 'standalone',
    endpoints: [{ host: 'localhost', port: 6379 }],
    master: '',
    tls: false,
    user: undefined,
    password: undefined,
    sentinelPassword: undefined,
    database: 0,
    shown: 'redis://localhost',
  })
  const full = parsed('rediss://us%40er:p%3A%2Fw@10.0.0.1:7000/12')
  assert.deepEqual([full.tls, full.user, full.password, full.database], [true, 'us@er', 'p:/w', 12])
  assert.equal(full.shown, 'rediss://10.0.0.1:7000/12')
  assert.deepEqual(parsed('redis://[::1]:7000').endpoints, [{ host: '::1', port: 7000 }])
  assert.deepEqual(parsed('redis://[::1]').endpoints, [{ host: '::1', port: 6379 }])
  for (const [secret, user, password] of [
    ['only', undefined, 'only'],
    [':pass', undefined, 'pass'],
    ['user:', 'user', undefined],
    ['user:a:b', 'user', 'a:b'],
  ] as const) {
    const address = parsed(`redis://${secret}@h`)
    assert.deepEqual([address.user, address.password], [user, password], secret)
  }
})

test('redis address: Sentinels and Clusters have many hosts', () => {
  const sentinel = parsed('redis+sentinel://:pw@a,b:1,[::2]:3/my%20master/4?sentinelPassword=other%26')
  assert.deepEqual(sentinel.endpoints, [
    { host: 'a', port: 26_379 },
    { host: 'b', port: 1 },
    { host: '::2', port: 3 },
  ])
  assert.deepEqual(
    [sentinel.kind, sentinel.master, sentinel.database, sentinel.password, sentinel.sentinelPassword],
    ['sentinel', 'my master', 4, 'pw', 'other&'],
  )
  assert.equal(sentinel.shown, 'redis+sentinel://a,b:1,[::2]:3/my master/4')
  const cluster = parsed('rediss+cluster://a:1,b')
  assert.deepEqual([cluster.kind, cluster.tls, cluster.endpoints[1]?.port], ['cluster', true, 6379])
})

test('redis address: anything else is refused without telling its secrets', () => {
  for (const url of [
    '',
    'localhost:6379',
    'http://localhost',
    'redis:/localhost',
    'redis://',
    'redis://secret@',
    'redis://:secret@h:0',
    'redis://:secret@h:65536',
    'redis://:secret@h:x',
    'redis://:secret@h p',
    'redis://:secret@a,b',
    'redis://:secret@h/one',
    'redis://:secret@h/1/2',
    'redis://:secret%@h',
    'redis+sentinel://:secret@h',
    'redis+sentinel://:secret@h/',
    'redis+sentinel://:secret@h/%/0',
    'redis+cluster://:secret@h/1',
    'redis+cluster://:secret@a,,b',
    'redis+other://:secret@h',
    'redis://::1',
  ]) {
    const problem = parseRedisAddress(url)
    assert.ok(typeof problem === 'string', `${url} is refused`)
    assert.doesNotMatch(problem, /secret/)
  }
})
