import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REFUSED } from '../../../src/config/kind.ts'
import { demoUsers, grants, isGranted, names, rates } from '../../../src/services/hub/config-kind.ts'
import { RateBuckets, rateTableOf } from '../../../src/services/hub/rate-limit.ts'
import { countsOf } from '../../../src/services/hub/user-gauge.ts'

test('hub kinds: what they read they write again, and refuse what cannot be meant', () => {
  for (const [kind, good, bad] of [
    [names(), ['metrics', 'a-b_c'], [[], ['a', 'a'], ['A'], [''], [7], 'x'.repeat(80)]],
    [
      grants(),
      ['admin=*', 'viewer=metrics status', 'nobody='],
      [['admin'], ['a=b=c'], ['a=B'], ['a=b', 'a=c'], ['=x']],
    ],
    [
      rates(),
      ['ping=120/2', 'binary=1/0.5'],
      [['ping'], ['ping=0/1'], ['ping=1/0'], ['ping=1'], ['ping=1/2', 'ping=1/2']],
    ],
    [demoUsers(), ['ada:love:admin'], [['ada'], ['ada:x'], ['ada:x:y:z'], [':x:y'], ['ada::y']]],
  ] as const) {
    const value = kind.decode(good)
    assert.notEqual(value, REFUSED)
    assert.equal(
      kind.encode(value as never),
      `[${good.map((one) => (/^[a-z][\w-]*$/.test(one) ? one : JSON.stringify(one))).join(', ')}]`,
    )
    assert.deepEqual(kind.decode(good.join(',')), value, 'as in the environment')
    for (const one of bad) assert.equal(kind.decode(one), REFUSED, JSON.stringify(one))
  }
  const users = demoUsers()
  const value = users.decode('ada:love:admin')
  assert.ok(value !== REFUSED && users.mask !== undefined)
  assert.equal(users.mask(value).includes('love'), false)
})

test('hub kinds: a star is every channel, nothing is none', () => {
  assert.equal(isGranted(['*'], 'x'), true)
  assert.equal(isGranted(['a', 'x'], 'x'), true)
  assert.equal(isGranted([], 'x'), false)
  assert.equal(isGranted(undefined, 'x'), false)
})

test('rate limit: at capacity, one over, after the refill, never more than full, and as it was when it was frozen', () => {
  const table = rateTableOf({ rateLimits: { ping: { capacity: 2, refill: 4 } }, rateLimitBurst: 1 })
  const buckets = new RateBuckets(table)
  assert.equal(buckets.freeze(), undefined)
  assert.deepEqual(
    [1, 2, 3].map(() => buckets.take('ping', 0)),
    [0, 0, 0],
  )
  assert.equal(buckets.take('ping', 0), 0.25)
  assert.ok(Math.abs(buckets.take('ping', 125) - 0.125) < 1e-9)
  const other = new RateBuckets(table, buckets.freeze())
  assert.equal(other.take('ping', 250), 0)
  assert.deepEqual(
    [1, 2, 3, 4].map(() => other.take('ping', 60_000) === 0),
    [true, true, true, false],
  )
  assert.equal(other.take('subscribe', 60_000), 0)
  assert.equal(new RateBuckets(table, [1, 2, 3]).take('ping', 0), 0, 'of another version: full')
})

test('connections by user: those with most of them, and the sum of the others', () => {
  const users = ['a', 'b', 'b', 'c', null, null, null]
  assert.deepEqual(
    [...countsOf(users, 2)],
    [
      ['anonymous', 3],
      ['b', 2],
      ['other', 2],
    ],
  )
  assert.deepEqual([...countsOf(['a'], 2)], [['a', 1]])
})
