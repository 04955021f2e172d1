import assert from 'node:assert/strict'
import { test } from 'node:test'
import { credentialOf, isEqualToken } from '../../../src/services/session-proxy/credential.ts'

function protocols(list: string): Record<string, string> {
  return { 'sec-websocket-protocol': list }
}

test('credential: the bearer token of the header, and nothing like it', () => {
  assert.deepEqual(credentialOf({ authorization: 'Bearer my-token' }, false), { token: 'my-token' })
  assert.deepEqual(credentialOf({ authorization: 'Bearer a b' }, false), { token: 'a b' })
  for (const authorization of ['', 'Bearer', 'Bearer ', 'bearer x', 'BEARER x', 'Basic eDp5', 'Bearerx', 'x'])
    assert.equal(credentialOf({ authorization }, false), undefined, authorization)
  assert.equal(credentialOf({}, false), undefined)
})

test('credential: browsers send it as a subprotocol, where that is on', () => {
  const token = 'tök/en+='
  const encoded = Buffer.from(token).toString('base64url')
  const found = { token: Buffer.from(token).toString('latin1'), protocol: 'polyloop.bearer' }
  assert.deepEqual(credentialOf(protocols(`polyloop.bearer, ${encoded}`), true), found)
  assert.deepEqual(credentialOf(protocols(`other,polyloop.bearer,${encoded} , more`), true), found)
  assert.equal(credentialOf(protocols(`polyloop.bearer, ${encoded}`), false), undefined)
  for (const list of [
    'polyloop.bearer',
    'polyloop.bearer, ',
    `${encoded}, polyloop.bearer`,
    'polyloop.bearer, a=b',
    encoded,
  ])
    assert.equal(credentialOf(protocols(list), true), undefined, list)
  // The header comes first, and needs no protocol.
  const both = { authorization: 'Bearer x', ...protocols(`polyloop.bearer, ${encoded}`) }
  assert.deepEqual(credentialOf(both, true), { token: 'x' })
})

test('credential: tokens are equal byte by byte', () => {
  const stored = Buffer.from('gehe\u{69}m-ü')
  assert.equal(isEqualToken(stored.toString('latin1'), stored), true)
  assert.equal(isEqualToken(`${stored.toString('latin1')}x`, stored), false)
  assert.equal(isEqualToken('geheim-ü', stored), false, 'one byte per character, as headers come')
  assert.equal(isEqualToken('', undefined), false)
  assert.equal(isEqualToken('x', Buffer.alloc(0)), false)
})
