// Who is online, listed in pieces, while many come and go.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PresenceState } from '../../../src/services/chat/presence-state.ts'

const STATUS = { status: 'online', updatedAt: 0 }

test('presence: any coming and going is listed in ascending order, each user once', () => {
  const deed = fc.record({
    kind: fc.constantFrom('set', 'set', 'delete', 'list', 'move'),
    userId: fc.integer({ min: 1, max: 30 }),
  })
  const life = fc.property(fc.array(deed, { maxLength: 150 }), (deeds) => {
    let presence = new PresenceState({ ttlMs: 1_000, entriesMax: 20 })
    // In the order in which they go.
    let known: number[] = []
    for (const { kind, userId } of deeds) {
      if (kind === 'set') {
        const isNew = !known.includes(userId)
        const gone = isNew && known.length === 20 ? known.shift() : undefined
        assert.equal(presence.set(userId, STATUS, 0), gone)
        known = [...known.filter((one) => one !== userId), userId]
      } else if (kind === 'delete') {
        assert.equal(presence.delete(userId), known.includes(userId))
        known = known.filter((one) => one !== userId)
      } else if (kind === 'move') {
        const frozen = presence.freeze()
        assert.equal(presence.size, 0)
        presence = new PresenceState({ ttlMs: 1_000, entriesMax: 20 })
        presence.thaw(structuredClone(frozen))
      } else {
        const expected = known.filter((one) => one > userId).sort((a, b) => a - b)
        const listed = presence.list(userId, 0, 7).map(({ key }) => key)
        assert.deepEqual(listed, expected.slice(0, 7))
      }
      assert.equal(presence.size, known.length)
      assert.equal(presence.oldest?.key, known[0])
    }
    assert.deepEqual(presence.list(0, 1_000, 100), [])
  })
  fc.assert(life, { numRuns: 300 })
})

test('presence: more that came since the last list than are merged are listed all the same', () => {
  const presence = new PresenceState({ ttlMs: 1_000, entriesMax: 30_000 })
  for (let userId = 25_000; userId > 0; userId--) {
    presence.set(userId, STATUS, 0)
    if (userId === 20_000) presence.list(0, 0, 1)
  }
  presence.delete(2)
  const listed = presence.list(0, 0, 30_000).map(({ key }) => key)
  assert.deepEqual(
    listed,
    Array.from({ length: 25_000 }, (_, index) => index + 1).filter((userId) => userId !== 2),
  )
})
