// Token buckets: the burst, the rate, and threads that take from one bucket at a time.
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { TokenBuckets } from '../../src/net/token-buckets.ts'

test('token buckets: a burst at once, then the rate', () => {
  const clock = new ManualClock(1_000)
  const buckets = new TokenBuckets(TokenBuckets.allocate(), clock)
  const taken = Array.from({ length: 250 }, () => buckets.take('user:1', 50, 200))
  equal(taken.filter((waitMs) => waitMs === 0).length, 200)
  ok((taken[249] as number) > 0 && (taken[249] as number) <= 20)
  clock.advance(1_000)
  equal(Array.from({ length: 100 }, () => buckets.take('user:1', 50, 200)).filter((waitMs) => waitMs === 0).length, 50)
  clock.advance(60_000)
  equal(Array.from({ length: 300 }, () => buckets.take('user:1', 50, 200)).filter((waitMs) => waitMs === 0).length, 200)
})

test('token buckets: the wait it names is enough, and no more than needed', () => {
  const clock = new ManualClock(1_000)
  const buckets = new TokenBuckets(TokenBuckets.allocate(), clock)
  for (let n = 0; n < 5; n++) equal(buckets.take('a', 4, 5), 0)
  const waitMs = buckets.take('a', 4, 5)
  ok(waitMs > 240 && waitMs <= 251, String(waitMs))
  clock.advance(waitMs - 10)
  ok(buckets.take('a', 4, 5) > 0)
  clock.advance(10)
  equal(buckets.take('a', 4, 5), 0)
})

test('token buckets: keys do not share, also when there are more than buckets', () => {
  const clock = new ManualClock(1_000)
  const buckets = new TokenBuckets(TokenBuckets.allocate(), clock)
  for (let n = 0; n < 100_000; n++) buckets.take(`address:${n}`, 50, 200)
  const counts = [1, 2, 3].map((n) => {
    let taken = 0
    while (buckets.take(`late:${n}`, 50, 200) === 0) taken++
    return taken
  })
  deepEqual(counts, [200, 200, 200])
})

test('token buckets: time that wraps does not lock anybody out', () => {
  const clock = new ManualClock(2 ** 32 / 16 - 500)
  const buckets = new TokenBuckets(TokenBuckets.allocate(), clock)
  for (let second = 0; second < 4; second++) {
    equal(Array.from({ length: 20 }, () => buckets.take('a', 10, 10)).filter((waitMs) => waitMs === 0).length, 10)
    clock.advance(1_000)
  }
  clock.advance(2 * 24 * 3_600_000)
  equal(buckets.take('a', 10, 10), 0)
})

test('token buckets: whoever comes back after any number of hours finds a bucket', () => {
  for (let hours = 1; hours <= 10 * 24; hours++) {
    const clock = new ManualClock(1_000)
    const buckets = new TokenBuckets(TokenBuckets.allocate(), clock)
    for (let taken = 0; taken < 10; taken++) equal(buckets.take('a', 10, 10), 0)
    ok(buckets.take('a', 10, 10) > 0)
    clock.advance(hours * 3_600_000)
    equal(buckets.take('a', 10, 10), 0, `${hours} h`)
  }
})
