import assert from 'node:assert/strict'
import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  PROXY_V2_BYTES_MAX,
  type ProxyHeader,
  type ProxySource,
  parseProxyHeader,
} from '../../src/net/proxy-protocol.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Parses inside a larger buffer: neither what is before nor what is behind counts. */
function parse(bytes: Uint8Array): ProxyHeader {
  const padded = Buffer.concat([latin1('PROXY'), bytes, latin1('\r\n')])
  return parseProxyHeader(padded, 5, 5 + bytes.length)
}

function done(bytes: number, address?: string, port = 0, family: ProxySource['family'] = 'IPv4'): ProxyHeader {
  return address === undefined ? { state: 'done', bytes } : { state: 'done', bytes, source: { address, port, family } }
}

function binary(command: number, family: number, block: Uint8Array): Buffer {
  const fixed = Buffer.from(`${SIGNATURE}00000000`, 'hex')
  fixed[12] = command
  fixed[13] = family
  fixed.writeUInt16BE(block.length, 14)
  return Buffer.concat([fixed, block])
}

const canonical = (address: string): string => new SocketAddress({ address, family: 'ipv6' }).address

const address4 = fc.ipV4()
const address6 = fc.oneof(
  fc.ipV6(),
  fc
    .array(fc.constantFrom('0', '0', '0', '1', 'ffff', 'aB'), { minLength: 8, maxLength: 8 })
    .map((groups) => groups.join(':')),
  fc.ipV4().map((address) => `::ffff:${address}`),
  fc.constantFrom('::', '::1', '1::', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '1::8', '::1.2.3.4', '64:ff9b::1.2.3.4'),
)
const port = fc.nat(65_535)
const header = fc.oneof(
  fc.tuple(address4, address4, port, port).map(([source, destination, from, to]) => ({
    bytes: latin1(`PROXY TCP4 ${source} ${destination} ${from} ${to}\r\n`),
    source: { address: source, port: from, family: 'IPv4' } as ProxySource | undefined,
  })),
  fc
    .tuple(address6, address6, port, port)
    .map(([source, destination, from, to]) => ({
      bytes: latin1(`PROXY TCP6 ${source} ${destination} ${from} ${to}\r\n`),
      source: { address: canonical(source), port: from, family: 'IPv6' } as ProxySource | undefined,
    }))
    .filter(({ bytes }) => bytes.length <= 107),
  fc
    .stringMatching(/^( [ -~]{0,80})?$/)
    .map((rest) => ({ bytes: latin1(`PROXY UNKNOWN${rest}\r\n`), source: undefined })),
  fc.tuple(fc.constantFrom(0x11, 0x12), fc.uint8Array({ minLength: 12, maxLength: 60 })).map(([family, block]) => ({
    bytes: binary(0x21, family, block),
    source: { address: block.slice(0, 4).join('.'), port: ((block[8] ?? 0) << 8) | (block[9] ?? 0), family: 'IPv4' } as
      | ProxySource
      | undefined,
  })),
  fc.tuple(fc.constantFrom(0x21, 0x22), fc.uint8Array({ minLength: 36, maxLength: 60 })).map(([family, block]) => ({
    bytes: binary(0x21, family, block),
    source: {
      address: canonical(Buffer.from(block.slice(0, 16)).toString('hex').match(/..../g)?.join(':') ?? ''),
      port: ((block[32] ?? 0) << 8) | (block[33] ?? 0),
      family: 'IPv6',
    } as ProxySource | undefined,
  })),
  fc
    .tuple(fc.nat(255), fc.uint8Array({ maxLength: 60 }))
    .map(([family, block]) => ({ bytes: binary(0x20, family, block), source: undefined })),
  fc.uint8Array({ maxLength: 60 }).map((block) => ({ bytes: binary(0x21, 0, block), source: undefined })),
  fc
    .uint8Array({ minLength: 216, maxLength: 230 })
    .map((block) => ({ bytes: binary(0x21, 0x31, block), source: undefined })),
)

test('proxy protocol: version 1 lines', () => {
  assert.deepEqual(
    parse(latin1('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET /')),
    done(47, '192.168.0.1', 56_324),
  )
  assert.deepEqual(parse(latin1('PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n')), done(36, '2001:db8::1', 0, 'IPv6'))
  assert.deepEqual(parse(latin1('PROXY UNKNOWN\r\n')), done(15))
  const longest = `PROXY UNKNOWN ${'f'.repeat(91)}\r\n`
  assert.equal(longest.length, 107)
  assert.deepEqual(parse(latin1(longest)), done(107))
  assert.deepEqual(parse(latin1(longest.replace('f', 'ff'))), { state: 'invalid', reason: 'line too long' })
})

test('proxy protocol: a version 1 line that cannot be is invalid at its first wrong byte', () => {
  // The last byte is the wrong one.
  for (const text of [
    'G',
    'p',
    'PROXY\r',
    'PROXY  ',
    'PROXY UD',
    'PROXY TCP5',
    'PROXY TCP4\r',
    'PROXY TCP4  ',
    'PROXY TCP4 256',
    'PROXY TCP4 01',
    'PROXY TCP4 1.2.3.4.',
    'PROXY TCP4 1.2.3 ',
    'PROXY TCP4 1..',
    'PROXY TCP4 1.2.3.4  ',
    'PROXY TCP4 1.2.3.4 :',
    'PROXY TCP4 1.2.3.4 5.6.7.8 65536',
    'PROXY TCP4 1.2.3.4 5.6.7.8 00',
    'PROXY TCP4 1.2.3.4 5.6.7.8 -',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1  ',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1\r',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rx',
    'PROXY TCP6 1.',
    'PROXY TCP6 :1',
    'PROXY TCP6 :::',
    'PROXY TCP6 1::2::',
    'PROXY TCP6 12345',
    'PROXY TCP6 g',
    'PROXY TCP6 1:2:3:4:5:6:7:8:',
    'PROXY TCP6 1:2 ',
    'PROXY TCP6 ::1:2:3:4:5:6:7:',
    'PROXY TCP6 ::1%',
    'PROXY TCP6 ::1.2.3.4:',
    'PROXY TCP6 1:2:3:4:5:6:7:1.',
    'PROXY UNKNOWNS',
    'PROXY UNKNOWN\rx',
    'PROXY UNKNOWN a\rx',
  ]) {
    assert.equal(parse(latin1(text.slice(0, -1))).state, 'more', JSON.stringify(text.slice(0, -1)))
    assert.equal(parse(latin1(text)).state, 'invalid', JSON.stringify(text))
  }
})

test('proxy protocol: version 2 headers', () => {
  const four = Buffer.from('0a000001 0a000002 1234 01bb'.replaceAll(' ', ''), 'hex')
  assert.deepEqual(parse(binary(0x21, 0x11, four)), done(28, '10.0.0.1', 0x1234))
  const withTlv = Buffer.concat([four, Buffer.from('040003aabbcc', 'hex')])
  assert.deepEqual(parse(binary(0x21, 0x11, withTlv)), done(34, '10.0.0.1', 0x1234))
  const six = Buffer.concat([
    Buffer.from(`20010db8${'0'.repeat(22)}01${'0'.repeat(32)}`, 'hex'),
    Buffer.from('005001bb', 'hex'),
  ])
  assert.deepEqual(parse(binary(0x21, 0x21, six)), done(52, '2001:db8::1', 80, 'IPv6'))
  assert.deepEqual(parse(binary(0x20, 0x00, Buffer.alloc(0))), done(16))
  assert.deepEqual(parse(binary(0x21, 0x31, Buffer.alloc(216))), done(232))
  assert.deepEqual(parse(binary(0x20, 0, Buffer.alloc(PROXY_V2_BYTES_MAX - 16))), done(PROXY_V2_BYTES_MAX))
})

test('proxy protocol: a version 2 header that cannot be is invalid at its first wrong byte', () => {
  for (const hex of [
    '0d0d',
    '0d0a0d0a000d0a515549540d',
    `${SIGNATURE}11`,
    `${SIGNATURE}22`,
    `${SIGNATURE}2113`,
    `${SIGNATURE}2141`,
    `${SIGNATURE}2101`,
    `${SIGNATURE}2010`.concat('10'),
    `${SIGNATURE}20000ff1`,
    `${SIGNATURE}2111000b`,
    `${SIGNATURE}21210023`,
    `${SIGNATURE}213100d7`,
  ]) {
    const bytes = Buffer.from(hex, 'hex')
    assert.equal(parse(bytes.subarray(0, -1)).state, 'more', hex.slice(0, -2))
    assert.equal(parse(bytes).state, 'invalid', hex)
  }
})

test('proxy protocol: any header is read, every prefix of it says more, and what follows is left alone', () => {
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 10 }), ({ bytes, source }, rest) => {
      for (let length = 0; length < bytes.length; length++) {
        assert.deepEqual(parse(bytes.subarray(0, length)), { state: 'more' }, bytes.toString('latin1', 0, length))
      }
      const expected = { state: 'done', bytes: bytes.length, ...(source === undefined ? {} : { source }) }
      assert.deepEqual(parse(Buffer.concat([bytes, rest])), expected)
    }),
    { numRuns: 1000 },
  )
})

test('proxy protocol: random and damaged bytes never throw, and a verdict stays', () => {
  const damaged = fc.tuple(header, fc.nat(300), fc.nat(255)).map(([{ bytes }, at, byte]) => {
    const copy = Buffer.from(bytes)
    copy[at % copy.length] = byte
    return copy
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 150 }), damaged), (bytes) => {
      let verdict = 'more'
      for (let length = 0; length <= bytes.length; length++) {
        const { state } = parse(bytes.subarray(0, length))
        assert.ok(verdict === 'more' || state === verdict, `${verdict} became ${state}`)
        verdict = state
      }
      assert.ok(verdict !== 'more' || bytes.length < PROXY_V2_BYTES_MAX)
    }),
    { numRuns: 2000 },
  )
})

test('proxy protocol: an address is taken exactly when Node takes it', () => {
  const odd = fc.array(
    fc.constantFrom(':', '::', '.', '0', '00', '1', 'ab', 'FFFF', '12345', '255', '256', '1:2:3:4:5:6', '1.2.3.4'),
    { maxLength: 9, size: 'max' },
  )
  let taken = 0
  fc.assert(
    fc.property(
      fc.oneof(
        odd.map((parts) => parts.join('')),
        address6,
        address4,
      ),
      (address) => {
        const four = parse(latin1(`PROXY TCP4 ${address} 1.1.1.1 1 1\r\n`))
        assert.equal(four.state === 'done', isIPv4(address), address)
        const six = parse(latin1(`PROXY TCP6 ${address} ::1 1 1\r\n`))
        assert.equal(six.state === 'done', isIPv6(address), address)
        if (six.state !== 'done') return
        taken++
        assert.equal(six.source?.address, canonical(address))
      },
    ),
    { numRuns: 5000 },
  )
  assert.ok(taken > 500)
})
