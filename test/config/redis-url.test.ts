import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REFUSED } from '../../src/config/kind.ts'
import { redisUrl } from '../../src/config/redis-url.ts'

const kind = redisUrl()

test('redis url: a server, Sentinels and a Cluster are taken as they are written', () => {
  for (const url of [
    'redis://127.0.0.1',
    'rediss://user:word@host:6380/2',
    'redis+sentinel://one,two:26380/mymaster',
    'redis+cluster://one:7000,two:7001,[::1]:7002',
  ]) {
    assert.equal(kind.decode(url), url)
  }
  for (const wrong of [
    'host:6379',
    'http://host',
    'redis://',
    'redis+sentinel://one',
    'redis://one,two',
    '',
    5,
    null,
  ]) {
    assert.equal(kind.decode(wrong), REFUSED, String(wrong))
  }
})

test('redis url: it is shown without its secrets', () => {
  const { mask } = kind
  assert.ok(mask)
  assert.equal(mask('redis://host:1/2'), '"redis://host:1/2"')
  for (const [url, shown] of [
    ['rediss://user:word@host:1', '"rediss://***@host:1"'],
    ['redis://:word@host', '"redis://***@host"'],
    ['redis+sentinel://one,two/name?sentinelPassword=word', '"redis+sentinel://***@one,two/name"'],
    ['not an address, word', '"***"'],
  ] as const) {
    assert.equal(mask(url), shown)
  }
})
