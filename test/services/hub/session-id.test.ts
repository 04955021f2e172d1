import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { freshIdOf, mintToken, parseToken, sessionOfHub } from '../../../src/services/hub/session-id.ts'

const ID = '1e7cb33c-4784-4fdd-852d-381f58525454'
const UUID_4 = /^hub:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

function keyOf(target: string, fresh = 'a-1'): ReturnType<typeof sessionOfHub> {
  const head = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)
  return sessionOfHub(head, 0, head.length, fresh)
}

test('session id: a token names its session, and is read back', () => {
  const token = mintToken(ID)
  assert.match(token.text, /^[A-Za-z0-9_-]{43}$/)
  assert.deepEqual(parseToken(token.text), token)
  assert.equal(token.sessionId, ID)
  assert.notEqual(mintToken(ID).text, token.text)
  assert.notEqual(token.digest, token.text)
})

test('session id: what is no token is none, also where only bits differ that mean nothing', () => {
  const { text } = mintToken(ID)
  const last = text.at(-1) ?? ''
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = text.slice(0, -1) + (alphabet[alphabet.indexOf(last) ^ 1] ?? '')
  const all: readonly (string | undefined)[] = [
    undefined,
    '',
    text.slice(1),
    `${text}A`,
    `${text.slice(0, -1)}=`,
    `${text.slice(0, -1)}+`,
    twin,
  ]
  for (const bad of all) assert.equal(parseToken(bad), undefined, String(bad))
})

test('session id: a connection is placed by its token, else by an id of its own', () => {
  const { text } = mintToken(ID)
  assert.deepEqual(keyOf(`/ws?reconnection_token=${text}`), { state: 'key', key: `hub:${ID}` })
  const own = keyOf('/ws?token=x&reconnection_token=bad')
  assert.ok(own.state === 'key')
  assert.match(own.key, UUID_4)
  assert.deepEqual(keyOf('/ws'), keyOf('/ws'), 'it is a function of the fresh id')
  assert.notDeepEqual(keyOf('/ws', 'a-2'), own)
  for (const path of ['/', '/ws/', '/health', '/api/v1/websocket/status', '*'])
    assert.equal(keyOf(path).state, 'none', path)
  const part = Buffer.from('GET /ws?reconnection_token=AB')
  assert.equal(sessionOfHub(part, 0, part.length, 'a').state, 'more')
})

test('session id: the id of a void token is not the one of the session that begins instead', () => {
  const token = mintToken(ID)
  assert.equal(freshIdOf(`hub:${ID}`, token), undefined)
  assert.equal(freshIdOf(`hub:${ID}`, undefined), ID)
  assert.equal(freshIdOf('peer:127.0.0.1:5', undefined), undefined)
})

test('session id: no bytes make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, isRequest) => {
      const head = Buffer.concat([Buffer.from(isRequest ? 'GET /ws?reconnection_token=' : ''), bytes])
      const { state } = sessionOfHub(head, 0, head.length, 'a')
      assert.ok(['key', 'more', 'none'].includes(state))
    }),
  )
  assert.equal(parseToken(randomBytes(32).toString('base64url'))?.digest.length, 44)
})
