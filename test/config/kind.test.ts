import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseDocument } from 'yaml'
import * as kinds from '../../src/config/kind.ts'
import { type Kind, REFUSED } from '../../src/config/kind.ts'

/** Every kind with values it must take (given, decoded) and values it must refuse. */
const CASES: Record<string, { kind: Kind<unknown>; takes: [unknown, unknown][]; refuses: unknown[] }> = {
  integer: {
    kind: kinds.integer({ min: -1, max: 10 }),
    takes: [
      [-1, -1],
      [10, 10],
      ['7', 7],
    ],
    refuses: [-2, 11, 1.5, '1.5', '', ' 1', '0x1', '1e1', true, [1], Number.NaN],
  },
  number: {
    kind: kinds.number({ min: 0, max: 1 }),
    takes: [
      [0, 0],
      [1, 1],
      ['0.25', 0.25],
    ],
    refuses: [-0.1, 1.1, '', '.5', 'NaN', Number.NaN, true],
  },
  boolean: {
    kind: kinds.boolean(),
    takes: [
      [true, true],
      ['false', false],
    ],
    refuses: ['yes', 'on', 1, 0, '', 'TRUE'],
  },
  size: {
    kind: kinds.size({ min: '1KiB', max: '1MiB' }),
    takes: [
      ['1KiB', 1024],
      [1_048_576, 1_048_576],
      ['1MiB', 1_048_576],
    ],
    refuses: [1023, '1023', 1_048_577, '1MB', 1500.5, '', [], true],
  },
  'size, power of two': {
    kind: kinds.size({ min: '4B', max: '1MiB', powerOfTwo: true }),
    takes: [
      [4, 4],
      ['64KiB', 65_536],
    ],
    refuses: [2, 5, '100KiB', '2MiB'],
  },
  duration: {
    kind: kinds.duration({ min: '10ms', max: '1m' }),
    takes: [
      ['10ms', 10],
      [60, 60_000],
      ['0.5', 500],
    ],
    refuses: ['9ms', '61s', 0, '1d', true, null],
  },
  string: {
    kind: kinds.string({ minBytes: 2, maxBytes: 4 }),
    takes: [
      ['ab', 'ab'],
      ['éé', 'éé'],
    ],
    refuses: ['a', 'abcde', 'ééé', 12, '', ['ab']],
  },
  oneOf: {
    kind: kinds.oneOf(['prefixed', 'raw'], { complete: 'prefixed' }),
    takes: [
      ['raw', 'raw'],
      ['complete', 'prefixed'],
    ],
    refuses: ['RAW', '', 0, 'constructor', undefined],
  },
  host: {
    kind: kinds.host(),
    takes: ['localhost', '0.0.0.0', '::', '::1', 'fe80::1%eth0', 'a.b-c.example'].map((name) => [name, name]),
    refuses: ['', 'a b', 'localhost:80', '[::1]', '-a', 'http://a', 1, 'a'.repeat(254)],
  },
  port: {
    kind: kinds.port(),
    takes: [
      [0, 0],
      ['65535', 65_535],
    ],
    refuses: [-1, 65_536, 'http'],
  },
  url: {
    kind: kinds.url(['redis:', 'rediss:']),
    takes: ['redis://h', 'rediss://:p@h:1/2'].map((text) => [text, text]),
    refuses: ['h:6379', 'http://h', '', 'redis://', 5],
  },
  list: {
    kind: kinds.list(),
    takes: [
      [
        ['a', 'b'],
        ['a', 'b'],
      ],
      ['a, b', ['a', 'b']],
      ['', []],
      [[], []],
    ],
    refuses: [[1], [''], 'a,,b', { a: 1 }, 1, Array(257).fill('a')],
  },
  tls: {
    kind: kinds.tls(),
    takes: [
      [
        { cert: 'c', key: 'k' },
        { cert: 'c', key: 'k' },
      ],
    ],
    refuses: [{ cert: 'c' }, { cert: 'c', key: '' }, { cert: 'c', key: 'k', ca: 'x' }, 'c,k', null, [1, 2]],
  },
  auto: {
    kind: kinds.auto(kinds.integer({ min: 1, max: 2 })),
    takes: [
      ['auto', 'auto'],
      [1, 1],
    ],
    refuses: ['Auto', 3, ''],
  },
}

for (const [name, { kind, takes, refuses }] of Object.entries(CASES)) {
  test(`kind ${name}: takes and refuses at its bounds`, () => {
    for (const [given, value] of takes) assert.deepEqual(kind.decode(given), value, String(given))
    for (const given of refuses) assert.equal(kind.decode(given), REFUSED, String(given))
  })

  test(`kind ${name}: what it writes is YAML that it reads back as the same value`, () => {
    for (const [, value] of takes) {
      const document = parseDocument(`key: ${kind.encode(value)}`)
      assert.deepEqual(document.errors, [])
      assert.deepEqual(kind.decode((document.toJS() as { key: unknown }).key), value)
    }
  })
}

test('kind optional: nothing is written as null', () => {
  assert.equal(kinds.optional(kinds.port()).encode(undefined), 'null')
  assert.equal(kinds.optional(kinds.secret()).mask?.(undefined), 'null')
})

test('quoted: every string survives YAML', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('null', 'true', 'No', '1', '0x1', '~', 'a: b', '# a', '/p', 'a#b'),
  )
  fc.assert(fc.property(text, (given) => parseDocument(`key: ${kinds.quoted(given)}`).toJS().key === given))
})
