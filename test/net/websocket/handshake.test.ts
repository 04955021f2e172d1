import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as ws from 'ws'
import { acceptsDeflate } from '../../../src/net/websocket/extension.ts'
import { checkUpgrade, offersProtocol, type UpgradeCheck, withProtocol } from '../../../src/net/websocket/handshake.ts'
import { Random } from './random.ts'

// @types/ws does not know this export of ws.
const { extension } = ws as unknown as { extension: { parse(header: string): Record<string, object[]> } }

const HEADERS = {
  host: 'localhost',
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
}
const DEFLATE = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'

function check(changes: Record<string, string | undefined>, offerDeflate = false, method = 'GET'): UpgradeCheck {
  return checkUpgrade({ method, headers: { ...HEADERS, ...changes } }, offerDeflate)
}

function refusal(answer: UpgradeCheck): string {
  return answer.accept ? 'accepted' : `${answer.status} ${JSON.stringify(answer.headers)}`
}

test('handshake: the example of the RFC', () => {
  const answer = check({})
  assert.ok(answer.accept)
  assert.equal(
    answer.response,
    [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '',
      '',
    ].join('\r\n'),
  )
  assert.equal(answer.deflate, false)
})

test('handshake: every key gets its own answer', () => {
  const random = new Random(3)
  for (let i = 0; i < 50; i++) {
    const key = random.bytes(16).toString('base64')
    const answer = check({ 'sec-websocket-key': key })
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    assert.ok(answer.accept && answer.response.includes(`Sec-WebSocket-Accept: ${accept}\r\n`))
  }
})

test('handshake: a subprotocol is one of those offered, in any of the headers, and stands in the answer', () => {
  const offers = (header: string | undefined, protocol: string): boolean =>
    offersProtocol(header === undefined ? {} : { 'sec-websocket-protocol': header }, protocol)
  for (const protocol of ['a', 'b.c', 'D']) assert.ok(offers('a,b.c ,  D', protocol), protocol)
  for (const protocol of ['', 'A', 'b', 'a,b.c', ' D', 'E']) assert.ok(!offers('a,b.c ,  D,', protocol), protocol)
  assert.ok(!offers(undefined, 'a'))
  const answer = check({})
  assert.ok(answer.accept)
  assert.equal(
    withProtocol(answer.response, 'b.c'),
    answer.response.replace(/\r\n\r\n$/, '\r\nSec-WebSocket-Protocol: b.c\r\n\r\n'),
  )
})

test('handshake: what is not an upgrade gets 426, and is told to', () => {
  const upgrade = '426 {"Upgrade":"websocket","Connection":"Upgrade"}'
  assert.equal(refusal(check({ upgrade: undefined, connection: 'keep-alive' })), upgrade)
  assert.equal(refusal(check({ upgrade: 'h2c' })), upgrade)
  assert.equal(refusal(check({ connection: undefined })), upgrade)
  assert.equal(refusal(check({ connection: 'keep-alive' })), upgrade)
})

test('handshake: names are compared without case, and Connection is a list', () => {
  assert.ok(check({ upgrade: 'WebSocket', connection: 'keep-alive, Upgrade' }).accept)
  assert.ok(check({ upgrade: 'WEBSOCKET', connection: 'upgrade' }).accept)
})

test('handshake: another version gets 426 with ours', () => {
  for (const version of [undefined, '', '8', '12', '14', '013', '13, 8']) {
    assert.equal(refusal(check({ 'sec-websocket-version': version })), '426 {"Sec-WebSocket-Version":"13"}')
  }
})

test('handshake: a missing or malformed key gets 400', () => {
  const keys = [undefined, '', 'short', 'dGhlIHNhbXBsZSBub25jZQ=', 'dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==']
  for (const key of keys) assert.equal(refusal(check({ 'sec-websocket-key': key })), '400 {}')
})

test('handshake: another method gets 405', () => {
  for (const method of ['POST', 'HEAD', 'OPTIONS']) {
    assert.equal(refusal(check({}, false, method)), '405 {"Allow":"GET"}')
  }
})

test('handshake: HTTP/1.0 cannot be upgraded', () => {
  assert.equal(refusal(checkUpgrade({ method: 'GET', httpVersion: '1.0', headers: HEADERS }, false)), '400 {}')
  assert.ok(checkUpgrade({ method: 'GET', httpVersion: '1.1', headers: HEADERS }, false).accept)
})

test('handshake: compression is negotiated only where the service offers it', () => {
  const offer = { 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits' }
  const off = check(offer)
  assert.ok(off.accept && !off.deflate && !off.response.includes('Extensions'))
  const on = check(offer, true)
  assert.ok(on.accept && on.deflate && on.response.endsWith(`\r\nSec-WebSocket-Extensions: ${DEFLATE}\r\n\r\n`))
  const without = check({}, true)
  assert.ok(without.accept && !without.deflate)
  assert.equal(refusal(check({ 'sec-websocket-extensions': 'permessage-deflate;' }, true)), '400 {}')
  assert.ok(check({ 'sec-websocket-extensions': 'permessage-deflate;' }).accept)
})

test('extension: offers that are accepted', () => {
  for (const [offer, answer] of [
    ['permessage-deflate', DEFLATE],
    ['permessage-deflate; client_max_window_bits', DEFLATE],
    ['permessage-deflate; client_max_window_bits=8', DEFLATE],
    ['permessage-deflate;client_max_window_bits="10"', DEFLATE],
    ['permessage-deflate; client_max_window_bits="1\\5"', DEFLATE],
    ['permessage-deflate; server_no_context_takeover; client_no_context_takeover', DEFLATE],
    ['permessage-deflate; server_max_window_bits=15', `${DEFLATE}; server_max_window_bits=15`],
    ['x-webkit-deflate-frame, permessage-deflate', DEFLATE],
    ['foo; bar=1; bar=2 , permessage-deflate', DEFLATE],
    ['permessage-deflate; server_max_window_bits=10, permessage-deflate', DEFLATE],
    ['permessage-deflate; unknown, permessage-deflate; client_no_context_takeover', DEFLATE],
  ] as const) {
    assert.equal(acceptsDeflate(offer), answer, offer)
  }
})

test('extension: offers that are declined, which leaves the connection uncompressed', () => {
  for (const parameter of [
    'unknown',
    'server_max_window_bits',
    'server_max_window_bits=8',
    'server_max_window_bits=14',
    'server_max_window_bits=16',
    'client_max_window_bits=7',
    'client_max_window_bits=16',
    'client_max_window_bits=09',
    'server_no_context_takeover=true',
    'client_no_context_takeover=1',
    'client_no_context_takeover; client_no_context_takeover',
  ]) {
    assert.equal(acceptsDeflate(`permessage-deflate; ${parameter}`), undefined, parameter)
  }
  assert.equal(acceptsDeflate('x-webkit-deflate-frame'), undefined)
  assert.equal(acceptsDeflate('Permessage-Deflate'), undefined)
})

test('extension: malformed is what ws finds malformed', () => {
  const random = new Random(7)
  const parts = [
    'permessage-deflate',
    'a',
    'b',
    '=',
    ';',
    ',',
    '"',
    '\\',
    ' ',
    '\t',
    '1',
    '@',
    'client_max_window_bits',
  ]
  let malformed = 0
  for (let i = 0; i < 20_000; i++) {
    let header = ''
    for (let count = 1 + random.below(9); count > 0; count--) header += random.pick(parts)
    header = header.replace(/^[ \t]+|[ \t]+$/g, '') // Node's HTTP parser trims values
    let oracle = true
    try {
      extension.parse(header)
    } catch {
      oracle = false // ws reports a malformed header with a SyntaxError
      malformed++
    }
    assert.equal(acceptsDeflate(header) !== 'malformed', oracle, JSON.stringify(header))
  }
  assert.ok(malformed > 1000 && malformed < 19_000, 'both kinds occur')
})
