import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, formatNanoseconds, formatSize, parseDuration, parseSize } from '../../src/lib/units.ts'

test('duration: a number is seconds, a string names its unit', () => {
  const cases: [string | number, number | undefined][] = [
    ['250ms', 250],
    ['10s', 10_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1.5s', 1_500],
    ['10 s', 10_000],
    ['30', 30_000],
    [0.25, 250],
    [1.1, 1_100],
    [0, 0],
    ['0s', 0],
  ]
  for (const [given, ms] of cases) assert.equal(parseDuration(given), ms, String(given))
})

test('duration: what it does not understand is refused, and so is a positive one that rounds to 0', () => {
  const refused = ['', 's', '-1s', '1d', '1 m s', '1S', '1e3', 'Infinity', ' 1s', '1s ', '0.0001', '0.4ms', '1_000']
  for (const given of refused) assert.equal(parseDuration(given), undefined, given)
  for (const given of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) assert.equal(parseDuration(given), undefined)
  assert.equal(parseDuration('9007199254740993ms'), undefined, 'beyond the safe integers')
})

test('size: binary units only, whole bytes only', () => {
  const cases: [string | number, number | undefined][] = [
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['2GiB', 2_147_483_648],
    ['1.5KiB', 1_536],
    ['100B', 100],
    ['8192', 8_192],
    [8_192, 8_192],
    [0, 0],
    ['1.5', undefined],
    ['64KB', undefined],
    ['64kib', undefined],
    ['64k', undefined],
    ['-1', undefined],
    ['', undefined],
    [1.5, undefined],
    [-1, undefined],
  ]
  for (const [given, bytes] of cases) assert.equal(parseSize(given), bytes, String(given))
})

test('duration and size: the written form is the shortest exact one', () => {
  assert.equal(formatDuration(0), '0s')
  assert.equal(formatDuration(90_000), '90s')
  assert.equal(formatDuration(300_000), '5m')
  assert.equal(formatDuration(1_001), '1001ms')
  assert.equal(formatSize(0), '0B')
  assert.equal(formatSize(10_485_760), '10MiB')
  assert.equal(formatSize(1_000), '1000B')
})

test('duration and size: written and read back, every whole number is the same', () => {
  const whole = fc.oneof(
    fc.nat(),
    fc.maxSafeNat(),
    fc.nat(5_000).map((n) => n * 3_600_000),
  )
  fc.assert(fc.property(whole, (ms) => parseDuration(formatDuration(ms)) === ms))
  fc.assert(fc.property(whole, (bytes) => parseSize(formatSize(bytes)) === bytes))
})

test('duration and size: any string gives a whole number or undefined, and never throws', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{1,20} ?(ms|s|m|h|KiB|MiB|GiB|B)?$/))
  fc.assert(
    fc.property(text, (given) => {
      for (const value of [parseDuration(given), parseSize(given)]) {
        if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) return false
      }
      return true
    }),
  )
})

test('nanoseconds: the largest unit that gives at least 1, without trailing zeros', () => {
  const cases: [number, string][] = [
    [0, '0ns'],
    [1, '1ns'],
    [999, '999ns'],
    [999.6, '1µs'],
    [1_000, '1µs'],
    [412_070, '412.07µs'],
    [999_999, '999.999µs'],
    [1_903_200, '1.9032ms'],
    [4_015_000, '4.015ms'],
    [1_000_000_000, '1s'],
    [61_234_567_890, '61.23456789s'],
  ]
  for (const [given, text] of cases) assert.equal(formatNanoseconds(given), text)
})
