import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isSessionId, proxyTargetOf, sessionOfTarget } from '../../../src/services/session-proxy/target.ts'

const session = (agent: string, id: string): object => ({ kind: 'session', agent, session: id })

test('target: an agent and a session, percent-decoded, whatever the query', () => {
  assert.deepEqual(proxyTargetOf('/agent1/ws/test-session-123'), session('agent1', 'test-session-123'))
  assert.deepEqual(proxyTargetOf('/a/ws/a:b?x=/ws/c'), session('a', 'a:b'))
  assert.deepEqual(proxyTargetOf('/a/ws/a%3Ab'), session('a', 'a:b'))
  assert.deepEqual(proxyTargetOf('/a/ws/x%2Fy'), session('a', 'x/y'))
  assert.deepEqual(proxyTargetOf('/a%20b/ws/%D1%8E%F0%9F%98%80'), session('a b', 'ю😀'))
  assert.deepEqual(proxyTargetOf('/a/ws/b#c'), session('a', 'b'))
})

test('target: another path is unknown', () => {
  for (const path of ['/', '', '*', '/a', '/a/ws', '/a/ws/b/', '/a/ws/b/c', '/a/x/b', '/a/WS/b', 'a/ws/b', '/health'])
    assert.deepEqual(proxyTargetOf(path), { kind: 'unknown' }, path)
})

test('target: an id is 1 to 256 bytes of UTF-8 without control characters', () => {
  const long = 'x'.repeat(256)
  assert.deepEqual(proxyTargetOf(`/a/ws/${long}`), session('a', long))
  assert.deepEqual(proxyTargetOf(`/a/ws/${'%D1%8E'.repeat(128)}`), session('a', 'ю'.repeat(128)))
  const wrong = [
    '',
    `${long}x`,
    `${'%D1%8E'.repeat(128)}x`,
    '%00',
    'a%0Ab',
    '%7F',
    '%C2%85',
    '%',
    '%zz',
    '%ff',
    '%ED%A0%80',
  ]
  for (const id of wrong) {
    assert.deepEqual(proxyTargetOf(`/a/ws/${id}`), { kind: 'invalid' }, id)
    assert.deepEqual(proxyTargetOf(`/${id}/ws/a`), { kind: 'invalid' }, id)
  }
})

test('target: every id survives its escapes', () => {
  const ids = fc.string({ unit: 'binary', maxLength: 300 })
  fc.assert(
    fc.property(ids, (id) => {
      const found = proxyTargetOf(`/agent/ws/${encodeURIComponent(id)}`)
      assert.deepEqual(found, isSessionId(id) ? session('agent', id) : { kind: 'invalid' })
    }),
    { numRuns: 500 },
  )
})

test('session key: the session from the path, as soon as the request line is whole', () => {
  const keyOf = (text: string): object => {
    const head = Buffer.from(text)
    return sessionOfTarget(head, 0, head.length)
  }
  assert.deepEqual(keyOf('GET /a/ws/x%3Ay HTTP/1.1\r\nHost: a\r\n'), { state: 'key', key: 'proxy:x:y' })
  assert.deepEqual(keyOf('GET /a/ws/x%3Ay HTT'), { state: 'more' })
  assert.deepEqual(keyOf('GET /health HTTP/1.1\r\n'), { state: 'none' })
  assert.deepEqual(keyOf('GET /a/ws/%00 HTTP/1.1\r\n'), { state: 'none' })
  assert.deepEqual(keyOf('\x16\x03\x01'), { state: 'none' })
})
