import assert from 'node:assert/strict'
import { test } from 'node:test'
import { authKeyOf, channelOf, idProblem, sessionPathOf } from '../../src/cli/session-name.ts'
import { keyOf } from '../../src/services/session-proxy/gate.ts'
import { channelOf as proxyChannelOf } from '../../src/services/session-proxy/member.ts'
import { proxyTargetOf } from '../../src/services/session-proxy/target.ts'

const SESSIONS = ['s', 'a:b', 'a/b?c#d', '100%', 'ключ сесії', '😀', 'x'.repeat(256), '..']

test('session name: tools and the proxy mean the same keys and channels', () => {
  for (const session of SESSIONS) {
    assert.equal(authKeyOf(session), keyOf(session))
    assert.equal(channelOf(session, 'up'), proxyChannelOf(session, 'up'))
    assert.equal(channelOf(session, 'down'), proxyChannelOf(session, 'down'))
    assert.deepEqual(proxyTargetOf(sessionPathOf('agent 1', session)), { kind: 'session', agent: 'agent 1', session })
    assert.equal(idProblem('session_id', session), undefined)
  }
})

test('session name: ids that the proxy refuses', () => {
  for (const id of ['', 'x'.repeat(257), 'é'.repeat(129), 'line\nbreak']) {
    assert.match(idProblem('session_id', id) ?? '', /^<session_id> has 1 to 256 bytes/)
  }
})
