import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { copyOf, decodeValue, encodeValue, errorData, errorOf, TAG } from '../../src/lib/codec.ts'
import { PolyloopError } from '../../src/lib/errors.ts'

const isInvalid = (error: unknown): boolean => error instanceof PolyloopError && error.code === 'VALUE_INVALID'

test('codec: whatever a value is made of, its copy is equal and shares nothing', () => {
  const value = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: false,
    maxBigInt: 2n ** 63n - 1n,
    key: fc.string().filter((name) => name !== '__proto__'),
  } as fc.ObjectConstraints)
  const property = fc.property(value, (original) => {
    assert.deepEqual(normalOf(copyOf(original)), normalOf(original))
  })
  fc.assert(property, { seed: 11, numRuns: 1_000 })
})

/** msgpack knows one zero, and whole numbers beyond 53 bits are what they are: equal numbers stay equal. */
function normalOf(value: unknown): unknown {
  if (Object.is(value, -0)) return 0
  if (Array.isArray(value)) return value.map(normalOf)
  if (value instanceof Set) return new Set([...value].map(normalOf))
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [normalOf(key), normalOf(item)]))
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, normalOf(item)]))
}

test('codec: bytes, text and nothing travel as they are', () => {
  const bytes = Buffer.from('raw')
  assert.equal(encodeValue(bytes).tag, TAG.bytes)
  assert.equal(encodeValue(bytes).bytes, bytes)
  assert.equal(encodeValue('täxt').tag, TAG.text)
  assert.equal(encodeValue(undefined).tag, TAG.nothing)
  const copy = copyOf(bytes) as Buffer
  bytes[0] = 0
  assert.equal(copy.toString(), 'raw')
})

test('codec: what no other thread could get is refused, however deep it is', () => {
  const cycle: unknown[] = []
  cycle.push(cycle)
  let deep: unknown = 1
  for (let depth = 0; depth < 102; depth++) deep = [deep]
  const functions = [() => 1, { f: () => 1 }, [Symbol('s')], new Map([[1, () => 1]]), new Map([[() => 1, 1]])]
  for (const value of [...functions, new Set([() => 1]), cycle, deep])
    assert.throws(() => encodeValue(value), isInvalid)
  deep = 1
  for (let depth = 0; depth < 100; depth++) deep = [deep]
  assert.deepEqual(copyOf(deep), deep)
})

test('codec: bytes that are no value are an error with a code, never another one', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 9 }), (bytes, tag) => {
    try {
      decodeValue(tag, Buffer.from(bytes), 0, bytes.length)
    } catch (error) {
      assert.ok(isInvalid(error), String(error))
    }
  })
  fc.assert(property, { seed: 5, numRuns: 2_000 })
  assert.throws(() => decodeValue(9, Buffer.alloc(1), 0, 1), isInvalid)
})

test('codec: an error is an error again on the other side, and anything else is one too', () => {
  const error = new PolyloopError('MAILBOX_FULL', { actor: 'room/1', max: 8 })
  const back = errorOf(copyOf(errorData(error)))
  assert.ok(back instanceof PolyloopError)
  assert.equal(back.code, 'MAILBOX_FULL')
  assert.deepEqual(back.details, error.details)
  assert.equal(back.message, error.message)
  assert.equal(errorOf({ code: 'NO_SUCH_CODE' }).code, 'ACTOR_HANDLER_FAILED')
  assert.deepEqual(errorOf({ code: 'ASK_TIMEOUT' }).details, {})
})
