import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../../src/lib/clock.ts'
import { NOBODY } from '../../../src/services/hub/identity.ts'
import { rateTableOf } from '../../../src/services/hub/rate-limit.ts'
import { NO_OPTIONS } from '../../../src/services/hub/request.ts'
import { Session } from '../../../src/services/hub/session.ts'
import { TOKENS_MAX } from '../../../src/services/hub/session-record.ts'

const ID = '1e7cb33c-4784-4fdd-852d-381f58525454'
const LIFE_MS = 300_000

function createSession(): { readonly clock: ManualClock; readonly session: Session } {
  const clock = new ManualClock(0, 1_800_000_000_000)
  const rules = { clock, rates: rateTableOf({ rateLimits: {}, rateLimitBurst: 0 }), tokenTtlMs: LIFE_MS, shard: 'here' }
  return { clock, session: new Session(rules, { id: ID, identity: NOBODY, options: NO_OPTIONS }) }
}

test('session: a fifth token voids the oldest, and gives it back when it could not be kept', () => {
  const { session } = createSession()
  const digests = Array.from({ length: TOKENS_MAX }, () => session.mint().token.digest)
  const valid = (): readonly boolean[] => digests.map((digest) => session.isOpenedBy(digest, undefined))
  const fifth = session.mint()
  assert.deepEqual(valid(), [false, true, true, true])
  session.withdraw(fifth)
  assert.deepEqual(valid(), [true, true, true, true])
  assert.equal(session.isOpenedBy(fifth.token.digest, undefined), false)
})

test('session: what could not be kept gives nothing back when all have been voided meanwhile', () => {
  const { session } = createSession()
  const first = session.mint()
  const second = session.mint()
  session.voidTokens()
  session.withdraw(second)
  assert.equal(session.isOpenedBy(first.token.digest, undefined), false)
  assert.equal(session.hasTokens, false)
})
