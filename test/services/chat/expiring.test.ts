// Entries that go by themselves: order, bounds, deadlines; and a long life of many tables against a simple one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ExpiringTable, ExpiryList } from '../../../src/services/chat/expiring-table.ts'

function keysOf(table: ExpiringTable<string, number>): string[] {
  return [...table.keys()]
}

test('expiry: the one that was set longest ago goes first, at its deadline and not before', () => {
  const list = new ExpiryList<string, number>({ ttlMs: 100, entriesMax: 10 })
  const table = new ExpiringTable(list)
  table.set('a', 1, 0)
  table.set('b', 2, 10)
  table.set('a', 3, 20)
  assert.deepEqual(list.oldest && [list.oldest.key, list.oldest.value, list.oldest.deadlineMs], ['b', 2, 110])
  list.expire(109.9)
  assert.deepEqual(keysOf(table), ['a', 'b'])
  list.expire(110)
  assert.deepEqual(keysOf(table), ['a'])
  assert.equal(table.get('a')?.value, 3)
  list.expire(120)
  assert.equal(list.size, 0)
  assert.equal(list.oldest, undefined)
})

test('expiry: a full list lets the oldest of any table go, but not for an entry that is there', () => {
  const list = new ExpiryList<string, number>({ ttlMs: 100, entriesMax: 3 })
  const [first, second] = [new ExpiringTable(list), new ExpiringTable(list)]
  first.set('a', 1, 0)
  first.set('b', 1, 1)
  second.set('a', 1, 2)
  first.set('a', 2, 3)
  assert.equal(list.isFull(), true)
  assert.deepEqual([keysOf(first), keysOf(second)], [['a', 'b'], ['a']])
  second.set('c', 1, 4)
  assert.deepEqual([keysOf(first), keysOf(second)], [['a'], ['a', 'c']])
})

test('expiry: what comes from elsewhere stands where its deadline is', () => {
  const list = new ExpiryList<string, number>({ ttlMs: 100, entriesMax: 10 })
  const [here, there] = [new ExpiringTable(list), new ExpiringTable(list)]
  here.set('a', 1, 0)
  here.set('b', 1, 50)
  there.restore('c', 1, 120)
  there.restore('d', 1, 90)
  there.restore('e', 1, 200)
  const order: string[] = []
  for (let entry = list.shift(); entry !== undefined; entry = list.shift()) order.push(entry.key)
  assert.deepEqual(order, ['d', 'a', 'c', 'b', 'e'])
  assert.equal(here.size + there.size, 0)
})

test('expiry: any life of some tables is that of a list sorted each time', () => {
  const TTL_MS = 20
  const ENTRIES_MAX = 8
  interface Known {
    readonly name: string
    readonly value: number
    readonly deadlineMs: number
  }
  const deed = fc.record({
    kind: fc.constantFrom('set', 'set', 'set', 'delete', 'expire', 'clear', 'restore'),
    table: fc.nat(2),
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    pauseMs: fc.nat(6),
  })
  const life = fc.property(fc.array(deed, { maxLength: 80 }), (deeds) => {
    const list = new ExpiryList<string, number>({ ttlMs: TTL_MS, entriesMax: ENTRIES_MAX })
    const tables = [0, 1, 2].map(() => new ExpiringTable(list))
    let known: Known[] = []
    let nowMs = 0
    for (const [value, { kind, table: index, key, pauseMs }] of deeds.entries()) {
      nowMs += pauseMs
      const table = tables[index] as ExpiringTable<string, number>
      const name = `${index}${key}`
      if (kind === 'set' || kind === 'restore') {
        const deadlineMs = nowMs + (kind === 'set' ? TTL_MS : pauseMs)
        if (kind === 'set') table.set(key, value, nowMs)
        else table.restore(key, value, deadlineMs)
        if (!known.some((one) => one.name === name) && known.length === ENTRIES_MAX) known.shift()
        known = known.filter((one) => one.name !== name)
        known.push({ name, value, deadlineMs })
        // Stable: of two with one deadline the one that was set first.
        known.sort((a, b) => a.deadlineMs - b.deadlineMs)
      } else if (kind === 'delete') {
        assert.equal(
          table.delete(key),
          known.some((one) => one.name === name),
        )
        known = known.filter((one) => one.name !== name)
      } else if (kind === 'clear') {
        table.clear()
        known = known.filter((one) => !one.name.startsWith(`${index}`))
      } else {
        list.expire(nowMs)
        known = known.filter((one) => one.deadlineMs > nowMs)
      }
      assert.equal(list.size, known.length)
      assert.equal(list.oldest?.value, known[0]?.value)
      const all = tables.flatMap((one, at) => [...one.entries()].map((entry) => `${at}${entry.key} ${entry.value}`))
      assert.deepEqual(all.sort(), known.map((one) => `${one.name} ${one.value}`).sort())
    }
  })
  fc.assert(life, { numRuns: 500 })
})
