// What every bridge promises, however it is reached: one suite, run for each. Names are fresh in each test, so that one
// server serves them all.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { BRIDGE_NAME_BYTES_MAX, type Bridge, LOG_READ_MAX } from '../../src/bridge/bridge.ts'
import { decodeLogEntry } from '../../src/bridge/log-entry.ts'
import { pause, waitUntil } from '../harness/wait.ts'
import { bytes, Ear, fails } from './bridge-fixture.ts'

const ALL_BYTES = Buffer.from(Uint8Array.from({ length: 256 }, (_, index) => index))
const ODD_NAMES = ['a b', 'a:b', 'ж', '{', '}', '{}', '{a}b', 'a{b}{c}', '\0', '\u{1F600}', '*', '__proto__', '1']

export function bridgeContract(name: string, of: () => Bridge): void {
  const check = (title: string, body: (bridge: Bridge, key: string) => Promise<void>): void => {
    test(`${name}: ${title}`, () => body(of(), randomUUID()))
  }

  check('a key is kept byte by byte until it is replaced or removed', async (bridge, key) => {
    assert.equal(await bridge.get({ key }), undefined)
    assert.equal(await bridge.set({ key, value: ALL_BYTES }), undefined)
    assert.deepEqual(await bridge.get({ key }), ALL_BYTES)
    const value = bytes('one')
    await bridge.set({ key, value })
    value.fill(0)
    assert.deepEqual(await bridge.get({ key }), bytes('one'))
    await bridge.set({ key, value: new Uint8Array(0) })
    assert.deepEqual(await bridge.get({ key }), bytes(''))
    assert.equal(await bridge.remove({ key }), true)
    assert.equal(await bridge.remove({ key }), false)
    assert.equal(await bridge.get({ key }), undefined)
  })

  check('take reads and removes', async (bridge, key) => {
    assert.equal(await bridge.take({ key }), undefined)
    await bridge.set({ key, value: bytes('one') })
    const taken = await Promise.all([bridge.take({ key }), bridge.take({ key })])
    assert.deepEqual(taken, [bytes('one'), undefined])
  })

  check('a time to live ends a key, and begins anew', async (bridge, key) => {
    assert.equal(await bridge.expire({ key, ttlSeconds: 1 }), false)
    // Together, because a busy machine may wait longer between two calls than a key lives.
    const shortly = (): Promise<void> => bridge.set({ key, value: bytes('x'), ttlSeconds: 0.1 })
    assert.deepEqual(await Promise.all([shortly(), bridge.get({ key })]), [undefined, bytes('x')])
    await waitUntil('the key has ended', async () => (await bridge.get({ key })) === undefined)
    assert.deepEqual(await Promise.all([shortly(), bridge.expire({ key, ttlSeconds: 1_000 })]), [undefined, true])
    const other = `${key}:short`
    await bridge.set({ key: other, value: bytes('x') })
    assert.equal(await bridge.expire({ key: other, ttlSeconds: 0.1 }), true)
    await waitUntil('the other key has ended', async () => (await bridge.get({ key: other })) === undefined)
    assert.deepEqual(await bridge.get({ key }), bytes('x'), 'the first one lives on')
    // `set` forgets the time to live.
    await Promise.all([
      bridge.set({ key: other, value: bytes('x'), ttlSeconds: 0.05 }),
      bridge.set({ key: other, value: bytes('y') }),
    ])
    await bridge.set({ key, value: bytes('x'), ttlSeconds: 0.1 })
    await waitUntil('the first key has ended', async () => (await bridge.get({ key })) === undefined)
    assert.deepEqual(await bridge.get({ key: other }), bytes('y'))
  })

  check('what is published reaches who subscribed, byte by byte and in order', async (bridge, key) => {
    assert.equal(await bridge.publish({ channel: key, payload: bytes('to nobody') }), 0)
    const heard: Buffer[] = []
    const message = (payload: Buffer): void => void heard.push(Buffer.from(payload))
    const subscription = bridge.subscribe(key, { message, gap: () => assert.fail('no gap') })
    await subscription.confirmed
    assert.equal(await bridge.publish({ channel: key, payload: ALL_BYTES }), 1)
    assert.equal(await bridge.publish({ channel: key, payload: new Uint8Array(0) }), 1)
    const texts = Array.from({ length: 500 }, (_, index) => `message ${index}`)
    await Promise.all(texts.map((text) => bridge.publish({ channel: key, payload: bytes(text) })))
    await waitUntil('all have come', () => heard.length === 502)
    assert.deepEqual(heard.slice(0, 2), [ALL_BYTES, bytes('')])
    assert.deepEqual(heard.slice(2).map(String), texts)
    subscription.end()
    const gone = async (): Promise<boolean> => (await bridge.publish({ channel: key, payload: bytes('late') })) === 0
    await waitUntil('nobody is subscribed', gone)
    assert.equal(heard.length, 502)
  })

  check('a channel can be subscribed again, at once', async (bridge, key) => {
    for (let round = 0; round < 20; round++) {
      const ear = new Ear()
      const subscription = bridge.subscribe(key, ear)
      await subscription.confirmed
      assert.equal(await bridge.publish({ channel: key, payload: bytes(`round ${round}`) }), 1)
      await ear.hears(`round ${round}`)
      assert.deepEqual(ear.heard, [`round ${round}`])
      subscription.end()
    }
  })

  check('names are any text, and each another name', async (bridge, key) => {
    const names = [...ODD_NAMES.map((odd) => `${key}${odd}`), ...ODD_NAMES.map((odd) => `${odd}${key}`)]
    names.push(key + 'x'.repeat(BRIDGE_NAME_BYTES_MAX - key.length))
    const ears = names.map(() => new Ear())
    const subscriptions = names.map((channel, index) => bridge.subscribe(channel, ears[index] as Ear))
    await Promise.all(subscriptions.map(({ confirmed }) => confirmed))
    for (const one of names) {
      await bridge.set({ key: `k${one}`.slice(0, BRIDGE_NAME_BYTES_MAX), value: bytes(one) })
      assert.equal(await bridge.publish({ channel: one, payload: bytes(one) }), 1)
    }
    for (const [index, one] of names.entries()) {
      const value = await bridge.take({ key: `k${one}`.slice(0, BRIDGE_NAME_BYTES_MAX) })
      assert.equal(value?.toString(), one)
      await (ears[index] as Ear).hears(one)
    }
    for (const [index, ear] of ears.entries()) assert.deepEqual(ear.heard, [names[index]])
    for (const subscription of subscriptions) subscription.end()
  })

  check('what is no name, no bytes, no time or no number is refused', async (bridge, key) => {
    const payload = bytes('x')
    for (const bad of [
      '',
      'x'.repeat(BRIDGE_NAME_BYTES_MAX + 1),
      'ж'.repeat(BRIDGE_NAME_BYTES_MAX / 2 + 1),
      '\uD800',
    ]) {
      await fails(bridge.publish({ channel: bad, payload }), 'BRIDGE_REFUSED')
      await fails(bridge.get({ key: bad }), 'BRIDGE_REFUSED')
      await fails(bridge.append({ log: bad, payload, countMax: 1, ttlSeconds: 1 }), 'BRIDGE_REFUSED')
      await fails(bridge.subscribe(bad, new Ear()).confirmed, 'BRIDGE_REFUSED')
    }
    for (const ttlSeconds of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e12]) {
      await fails(bridge.set({ key, value: payload, ttlSeconds }), 'BRIDGE_REFUSED')
      await fails(bridge.expire({ key, ttlSeconds }), 'BRIDGE_REFUSED')
    }
    for (const countMax of [0, 1.5, -1]) {
      const { problem } = await fails(bridge.append({ log: key, payload, countMax, ttlSeconds: 1 }), 'BRIDGE_REFUSED')
      assert.equal(problem, 'countMax is a whole number from 1 to 1000000')
    }
    await fails(bridge.read({ log: key, offset: -1, count: 1 }), 'BRIDGE_REFUSED')
    await fails(bridge.set({ key, value: 'text' as unknown as Uint8Array }), 'BRIDGE_REFUSED')
    assert.equal(await bridge.get({ key }), undefined)
  })

  check('a log gives offsets, keeps the last entries, and publishes each', async (bridge, log) => {
    assert.deepEqual(await bridge.read({ log, offset: 0, count: 9 }), { epoch: 0, offset: 0, first: 0, entries: [] })
    const published: [number, number, string][] = []
    const message = (payload: Buffer): void => {
      const entry = decodeLogEntry(payload)
      assert.ok(entry !== undefined)
      published.push([entry.epoch, entry.offset, entry.payload.toString()])
    }
    const subscription = bridge.subscribe(log, { message, gap: () => assert.fail('no gap') })
    await subscription.confirmed
    const append = (text: string): Promise<{ epoch: number; offset: number }> =>
      bridge.append({ log, payload: bytes(text), countMax: 3, ttlSeconds: 60 })
    const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(append))
    const epoch = answers[0]?.epoch ?? 0
    assert.ok(Number.isSafeInteger(epoch) && epoch > 0)
    assert.deepEqual(
      answers,
      [1, 2, 3, 4, 5].map((offset) => ({ epoch, offset })),
    )
    await waitUntil('all are published', () => published.length === 5)
    assert.deepEqual(published[4], [epoch, 5, 'e'])
    const read = async (offset: number, count: number): Promise<unknown> => {
      const answer = await bridge.read({ log, offset, count })
      assert.deepEqual([answer.epoch, answer.offset, answer.first], [epoch, 5, 3])
      return answer.entries.map(({ offset: at, payload }) => [at, String(payload)])
    }
    const kept = [
      [3, 'c'],
      [4, 'd'],
      [5, 'e'],
    ]
    assert.deepEqual(await read(0, 10), kept)
    assert.deepEqual(await read(2, 10), kept)
    assert.deepEqual(await read(3, 1), kept.slice(1, 2))
    assert.deepEqual(await read(5, 10), [])
    assert.deepEqual(await read(99, 10), [])
    assert.deepEqual(await read(0, 0), [])
    subscription.end()
  })

  check('a log that was lost begins a new epoch', async (bridge, log) => {
    const append = (ttlSeconds: number): Promise<{ epoch: number; offset: number }> =>
      bridge.append({ log, payload: bytes('x'), countMax: 10, ttlSeconds })
    const first = await append(0.05)
    await waitUntil('the log is gone', async () => (await bridge.read({ log, offset: 0, count: 1 })).epoch === 0)
    const second = await append(60)
    assert.equal(second.offset, 1)
    assert.ok(second.epoch > first.epoch)
    assert.equal(await bridge.remove({ key: log }), true)
    assert.ok((await append(60)).epoch > second.epoch)
  })

  check('a log can be opened before it has entries, and lives as long as it is opened', async (bridge, log) => {
    const { epoch, offset } = await bridge.open({ log, ttlSeconds: 60 })
    assert.ok(epoch > 0 && offset === 0)
    assert.deepEqual(await bridge.open({ log, ttlSeconds: 0.05 }), { epoch, offset })
    assert.deepEqual(await bridge.read({ log, offset: 0, count: 9 }), { epoch, offset: 0, first: 1, entries: [] })
    const entry = { log, payload: bytes('a'), countMax: 1, ttlSeconds: 60 }
    assert.deepEqual(await bridge.append(entry), { epoch, offset: 1 })
    const read = await bridge.read({ log, offset: 0, count: 9 })
    assert.deepEqual([read.first, read.entries.map(({ payload }) => String(payload))], [1, ['a']])
    await bridge.append({ ...entry, ttlSeconds: 0.3 })
    assert.deepEqual(await bridge.open({ log, ttlSeconds: 60 }), { epoch, offset: 2 })
    await pause(400)
    assert.deepEqual(await bridge.open({ log, ttlSeconds: 60 }), { epoch, offset: 2 }, 'opened, it lives longer')
    const ahead = { epoch, offset: 3 }
    const later = await bridge.open({ log, ttlSeconds: 60, after: { ...ahead, epoch: epoch - 1 } })
    assert.deepEqual(later, { epoch, offset: 2 }, 'of another epoch')
    const anew = await bridge.open({ log, ttlSeconds: 60, after: ahead })
    assert.ok(anew.epoch > epoch && anew.offset === 0, 'it has lost an entry')
    assert.deepEqual((await bridge.read({ log, offset: 0, count: 9 })).entries, [])
    assert.deepEqual(await bridge.append({ ...entry, after: anew }), { ...anew, offset: 1 })
    const again = await bridge.append({ ...entry, after: { ...anew, offset: 2 } })
    assert.ok(again.epoch > anew.epoch && again.offset === 1, 'what it says next has no offset of a lost one')
    for (const ttlSeconds of [0, -1, Number.NaN]) await fails(bridge.open({ log, ttlSeconds }), 'BRIDGE_REFUSED')
  })

  check('a log is no key, and a key no log', async (bridge, key) => {
    await bridge.set({ key, value: bytes('x') })
    const { problem } = await fails(
      bridge.append({ log: key, payload: bytes('x'), countMax: 1, ttlSeconds: 9 }),
      'BRIDGE_REFUSED',
    )
    assert.match(String(problem), /WRONGTYPE/)
    await fails(bridge.read({ log: key, offset: 0, count: 1 }), 'BRIDGE_REFUSED')
    await fails(bridge.open({ log: key, ttlSeconds: 1 }), 'BRIDGE_REFUSED')
    const log = `${key}:log`
    await bridge.append({ log, payload: bytes('x'), countMax: 1, ttlSeconds: 9 })
    await fails(bridge.get({ key: log }), 'BRIDGE_REFUSED')
    await fails(bridge.take({ key: log }), 'BRIDGE_REFUSED')
  })

  check('one answer of a log has an end: the rest is read behind it', async (bridge, log) => {
    const entries = LOG_READ_MAX + 10
    const append = (payload: Buffer): Promise<unknown> =>
      bridge.append({ log, payload, countMax: 10_000, ttlSeconds: 60 })
    await Promise.all(Array.from({ length: entries }, (_, index) => append(bytes(`${index + 1}`))))
    const all = await bridge.read({ log, offset: 0, count: 100_000 })
    assert.equal(all.entries.length, LOG_READ_MAX)
    const rest = await bridge.read({ log, offset: LOG_READ_MAX, count: 100_000 })
    assert.equal(rest.entries.length, 10)
    // And one that is bounded by its bytes.
    for (let count = 0; count < 5; count++) await append(Buffer.alloc(300_000, count))
    const large = await bridge.read({ log, offset: entries, count: 10 })
    assert.ok(large.entries.length >= 2 && large.entries.length < 5, `${large.entries.length} entries`)
    const next = await bridge.read({ log, offset: large.entries.at(-1)?.offset ?? 0, count: 10 })
    assert.equal(next.entries[0]?.payload[0], large.entries.length)
  })

  check('a round trip takes its time', async (bridge) => {
    const { ms } = await bridge.ping()
    assert.ok(ms >= 0 && ms < 5_000, `${ms} ms`)
  })
}
