import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Packr, Unpackr } from 'msgpackr'
import { packPlain, plainBytes, unpackPlain } from '../../src/lib/plain-value.ts'

const OPTIONS = { useRecords: false, moreTypes: true, int64AsType: 'bigint' } as const
const [packer, unpacker] = [new Packr(OPTIONS), new Unpackr(OPTIONS)]

/** Undefined: refused. */
function packed(value: unknown): Buffer | undefined {
  const length = packPlain(value)
  return length < 0 ? undefined : Buffer.from(plainBytes.subarray(0, length))
}

const unpacked = (bytes: Buffer): unknown => unpackPlain(bytes, 0, bytes.length)

const { value: anything } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string({ maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 4 }),
    fc.integer(),
    fc.integer({ min: -40, max: 140 }),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.date({ noInvalidDate: true }),
    fc.array(tie('value'), { maxLength: 17 }),
    fc.dictionary(fc.string({ minLength: 1, maxLength: 33 }), tie('value'), { maxKeys: 17 }),
  ),
}))

test('plain value: what it packs the library reads, and it reads back, as it was', () => {
  let plain = 0
  const property = fc.property(anything, (value) => {
    const bytes = packed(value)
    if (bytes === undefined) return
    plain++
    // -0 arrives as 0, as it does with the library; dictionaries of fast-check have no prototype.
    const expected = structuredClone(unpacker.unpack(packer.pack(value)))
    assert.deepEqual(structuredClone(unpacker.unpack(bytes)), expected)
    assert.deepEqual(structuredClone(unpacked(bytes)), expected)
  })
  fc.assert(property, { seed: 11, numRuns: 2_000 })
  assert.ok(plain > 500, `${plain} were plain`)
})

test('plain value: what the library packs it reads alike, or leaves to the library', () => {
  let read = 0
  const property = fc.property(anything, (value) => {
    const bytes = Buffer.from(packer.pack(value))
    const mine = unpacked(bytes)
    if (mine === undefined) return
    read++
    assert.deepEqual(structuredClone(mine), structuredClone(unpacker.unpack(bytes)))
  })
  fc.assert(property, { seed: 12, numRuns: 2_000 })
  assert.ok(read > 500, `${read} were read`)
})

test('plain value: any bytes are a value or not, and never an exception', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    unpacked(Buffer.from(bytes))
  })
  fc.assert(property, { seed: 13, numRuns: 5_000 })
  for (const value of [{ name: 'ada', list: [1, -300, 2.5, null, true] }, 'x'.repeat(200)]) {
    const whole = packed(value) as Buffer
    for (let end = 0; end < whole.length; end++) assert.equal(unpackPlain(whole, 0, end), undefined)
    assert.equal(unpacked(Buffer.concat([whole, Buffer.of(0)])), undefined)
  }
})

test('plain value: the most it takes, and one more', () => {
  const wide = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, at) => [`n${at}`, at]))
  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
  for (const [most, more] of [
    [wide(15), wide(16)],
    [Array(15).fill(1), Array(16).fill(1)],
    ['x'.repeat(255), 'x'.repeat(256)],
    [{ ['n'.repeat(31)]: 1 }, { ['n'.repeat(32)]: 1 }],
    [deep(8), deep(9)],
  ]) {
    assert.deepEqual(unpacked(packed(most) as Buffer), most)
    assert.equal(packed(more), undefined)
  }
  assert.equal(packed(Array(15).fill(Array(15).fill('x'.repeat(100)))), undefined, 'more than its buffer has')
})

test('plain value: what is not plain is refused', () => {
  class Point {
    x = 1
  }
  const polluted = Object.create({ inherited: 1 }) as object
  const refused = [undefined, 1n, Symbol('s'), () => 1, new Date(), new Map(), new Set(), /x/, new Point(), polluted]
  for (const value of [...refused, Buffer.alloc(1), [1, undefined, 2], 'ä', JSON.parse('{"__proto__":1}')]) {
    assert.equal(packed(value), undefined)
    if (value !== 'ä') assert.equal(packed({ value }), undefined)
  }
})

test('plain value: a name that would set a prototype is left to the library', () => {
  const bytes = Buffer.concat([Buffer.of(0x81, 0xa9), Buffer.from('__proto__'), Buffer.of(0x80)])
  assert.equal(unpacked(bytes), undefined)
})
