// Fan-out, and what happens to subscribers that are slow.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import { defineTopic, type TopicPosition } from '../../src/actor/topic-definition.ts'
import { Client, framesOf, TestConnection } from './topic-client.ts'
import { positioned, QUEUE_MAX, SLOW_BYTES, World } from './topic-world.ts'

const plain = defineTopic({ kind: 'plain', encode: positioned })

test('fan-out: what comes in one turn leaves in one write, made once for all', () => {
  const world = new World({ threads: 2, definitions: [plain] })
  const buffers: Uint8Array[] = []
  const connections = Array.from({ length: 5 }, () => world.connect(1, 'plain.a'))
  world.settle()
  for (const connection of connections) {
    const send = connection.sendShared.bind(connection)
    connection.sendShared = (bytes, messages) => {
      buffers.push(bytes)
      send(bytes, messages)
    }
  }
  for (let count = 0; count < 8; count++) world.publish(0, 'plain.a')
  world.settle()
  assert.equal(buffers.length, 5)
  assert.equal(new Set(buffers).size, 1)
  assert.equal(framesOf(buffers[0] as Uint8Array).length, 8)
  assert.deepEqual(
    connections.map(({ writes }) => writes),
    [1, 1, 1, 1, 1],
  )
  world.checkBooks()
})

test('fan-out: streams get payloads, deflated connections compressed frames, encoders their own bytes', () => {
  const positions: TopicPosition[] = []
  const shout = (payload: Uint8Array, position: TopicPosition): string => {
    positions.push(position)
    return `${Buffer.from(payload).toString().toUpperCase()}\n`
  }
  const bare = defineTopic({ kind: 'bare', compress: false })
  const world = new World({ threads: 1, definitions: [bare], encoders: new Map([['shout', shout]]) })
  const { relay } = world.thread(0)
  const got: Record<string, Buffer[]> = {}
  const subscribe = (name: string, wire: 'stream' | 'frame' | 'deflated', topic: string, deliver?: string): void => {
    const connection = new TestConnection(new Client(++world.connectionsMade, topic, false), wire)
    connection.sendShared = (bytes) => got[name]?.push(Buffer.from(bytes))
    got[name] = []
    relay.subscribe(connection, topic, deliver === undefined ? {} : { deliver })
  }
  subscribe('stream', 'stream', 'open.a')
  subscribe('shout', 'stream', 'open.a', 'shout')
  subscribe('again', 'stream', 'open.a', 'shout')
  subscribe('frame', 'frame', 'open.a', 'shout')
  subscribe('deflated', 'deflated', 'open.a')
  subscribe('bare', 'deflated', 'bare.a')
  const text = 'abc'.repeat(1000)
  relay.publish('open.a', text)
  relay.publish('bare.a', text)
  world.run(0)
  assert.equal(got.stream?.[0]?.toString(), text)
  assert.equal(got.shout?.[0]?.toString(), `${text.toUpperCase()}\n`)
  assert.deepEqual(framesOf(got.frame?.[0] as Buffer), [`${text.toUpperCase()}\n`])
  assert.equal(positions.length, 2, 'once for streams, once for frames')
  assert.equal(positions[0]?.offset, 1)
  const deflated = got.deflated?.[0] as Buffer
  assert.equal(deflated[0], 0x80 | 0x40 | 1)
  const tail = Buffer.concat([deflated.subarray(2), Buffer.from([0, 0, 0xff, 0xff])])
  assert.equal(inflateRawSync(tail, { finishFlush: 2 }).toString(), text)
  assert.deepEqual(framesOf(got.bare?.[0] as Buffer), [text], 'a kind may do without compression')
})

test('slow, drop-oldest: the newest wait, the rest is a gap; others do not notice', () => {
  const world = new World({
    threads: 1,
    definitions: [defineTopic({ kind: 'd', slow: 'drop-oldest', encode: positioned })],
  })
  const slow = world.connect(0, 'd.a')
  const fast = world.connect(0, 'd.a')
  slow.bufferedBytes = SLOW_BYTES + 1
  for (let count = 0; count < QUEUE_MAX + 5; count++) {
    world.publish(0, 'd.a')
    world.checkBooks()
  }
  assert.equal(fast.client.texts.length, QUEUE_MAX + 5)
  assert.equal(slow.client.texts.length, 0)
  const { inFlight, dropped } = world.thread(0).countsOf('d')
  assert.deepEqual([inFlight.value, dropped.slow.value], [QUEUE_MAX, 5])
  slow.bufferedBytes = SLOW_BYTES / 2 + 1
  world.run(60)
  assert.equal(slow.client.texts.length, 0, 'it has to drain to half')
  slow.bufferedBytes = SLOW_BYTES / 2
  world.thread(0).relay.writable(slow)
  assert.equal(slow.client.texts.length, QUEUE_MAX)
  const { epoch } = slow.client
  assert.deepEqual(slow.client.events.slice(1), [{ type: 'gap', topic: 'd.a', epoch, from: 1, to: 5, reason: 'slow' }])
  world.publish(0, 'd.a')
  assert.equal(slow.client.texts.length, QUEUE_MAX + 1)
  world.run(60)
  world.checkBooks()
  world.checkQuiet()
})

test('slow, conflate: the latest of each key waits', () => {
  const key = (message: { key: string }): string => message.key
  const world = new World({
    threads: 1,
    definitions: [defineTopic({ kind: 'c', slow: 'conflate', key, encode: positioned })],
  })
  const slow = world.connect(0, 'c.a', undefined, { checks: false })
  slow.bufferedBytes = SLOW_BYTES + 1
  for (const name of ['a', 'b', 'a', 'c', 'b', 'a']) world.publish(0, 'c.a', { key: name })
  slow.bufferedBytes = 0
  world.run(60)
  assert.deepEqual(
    slow.client.texts.map((text) => JSON.parse(text).offset),
    [4, 5, 6],
  )
  const { dropped, delivered } = world.thread(0).countsOf('c')
  assert.deepEqual([dropped.conflated.value, delivered.value], [3, 3])
  assert.deepEqual(
    slow.client.events.slice(1).map((event) => event.type === 'gap' && [event.from, event.to, event.reason]),
    [[1, 3, 'conflated']],
  )
  world.run(60)
  world.checkQuiet()
})

test('slow, conflate: more keys than the queue has places are dropped, oldest first', () => {
  const key = (message: { key: number }): string => String(message.key)
  const world = new World({
    threads: 1,
    definitions: [defineTopic({ kind: 'c', slow: 'conflate', key, encode: positioned })],
  })
  const slow = world.connect(0, 'c.a')
  slow.bufferedBytes = SLOW_BYTES + 1
  for (let count = 0; count <= QUEUE_MAX; count++) world.publish(0, 'c.a', { key: count })
  const { dropped } = world.thread(0).countsOf('c')
  assert.deepEqual([dropped.conflated.value, dropped.slow.value], [0, 1])
  world.checkBooks()
})

test('slow, catch-up: nothing waits, the history fills in, and what it has lost is a gap', () => {
  const later = defineTopic({ kind: 'l', slow: 'catch-up', history: { count: 10 }, encode: positioned })
  const world = new World({ threads: 2, definitions: [later] })
  const slow = world.connect(1, 'l.a')
  world.settle()
  slow.bufferedBytes = SLOW_BYTES + 1
  for (let count = 0; count < 8; count++) world.publish(0, 'l.a')
  world.settle()
  assert.equal(world.thread(1).countsOf('l').inFlight.value, 8)
  slow.bufferedBytes = 0
  world.pass(60)
  assert.equal(slow.client.texts.length, 8)
  assert.equal(slow.client.gaps, 0)
  slow.bufferedBytes = SLOW_BYTES + 1
  for (let count = 0; count < 13; count++) world.publish(0, 'l.a')
  world.settle()
  slow.bufferedBytes = 0
  world.pass(60)
  const { epoch } = slow.client
  assert.deepEqual(slow.client.events.slice(1), [
    { type: 'gap', topic: 'l.a', epoch, from: 9, to: 11, reason: 'history' },
  ])
  assert.equal(slow.client.texts.length, 18)
  assert.equal(world.thread(1).countsOf('l').dropped.gap.value, 3)
  world.pass(60)
  world.checkBooks()
  world.checkQuiet()
})

test('slow, disconnect: messages go on until its connection is closed; then they are dropped', () => {
  const world = new World({ threads: 1, definitions: [plain] })
  const slow = world.connect(0, 'plain.a')
  slow.bufferedBytes = SLOW_BYTES * 100
  world.publish(0, 'plain.a')
  assert.equal(slow.client.texts.length, 1)
  slow.open = false
  world.publish(0, 'plain.a')
  const { dropped, delivered } = world.thread(0).countsOf('plain')
  assert.deepEqual([delivered.value, dropped.closed.value], [1, 1])
  world.checkBooks()
})
