// The way to connections by reference, from and to a shard on which they are not, or not yet, or not any more.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Router } from '../../src/actor/router.ts'
import type { Connection } from '../../src/net/connection.ts'
import type { ConnectionRef } from '../../src/net/connection-ref.ts'
import { RECORD } from '../../src/net/record.ts'
import { slotOf } from '../../src/placement/slots.ts'
import { ConnectionPost } from '../../src/runtime/connection-post.ts'
import { until } from '../net/loop-fixture.ts'
import { MoveFixture } from '../net/move-fixture.ts'

const [HERE, THERE, OWNER] = [8, 9, 10] as const
const SLOT = slotOf('test')

/** A post on the first loop of a fixture, whose slots another thread owns, with what it sent to others. */
function create(fixture: MoveFixture, owner: number = OWNER, hasRoom = () => true) {
  const sent: string[] = []
  const toThread = (
    thread: number,
    kind: number,
    head: Uint8Array,
    headBytes: number,
    body: Uint8Array = new Uint8Array(0),
  ): boolean => {
    if (!hasRoom()) return false
    const isText = kind === RECORD.send || kind === RECORD.sendHere
    const text = isText ? Buffer.concat([head.subarray(13, headBytes), body]).toString() : `${head[14]}`
    return sent.push(`${nameOf(kind)} ${text} > ${thread}`) > 0
  }
  const router: Router = new Router({
    self: HERE,
    owners: () => owner,
    toThread,
    deliver: (kind, _source, record) => post.deliver(kind, record),
    stays: () => false,
    reject: () => {},
    retry: () => {},
    ended: () => {},
    heldBytesMax: 1024,
  })
  const post: ConnectionPost = new ConnectionPost({ self: HERE, loop: fixture.loops[0], router, toThread })
  return { post, sent }
}

function nameOf(kind: number): string | undefined {
  return Object.entries(RECORD).find(([, value]) => value === kind)?.[0]
}

function refOf(id: number): ConnectionRef {
  return { slot: SLOT, id, shard: THERE - HERE }
}

test('post: what a handler sends by reference while it is frozen goes after the connection', async () => {
  let sendLast = (_connection: Connection): void => {}
  const handler = {
    data: () => {},
    freeze: (connection: Connection) => sendLast(connection),
    thaw: () => undefined,
  }
  await using fixture = new MoveFixture({ tcp: handler as never })
  const { post, sent } = create(fixture)
  const { connection } = await fixture.pair()
  const ref = post.refOf(connection)
  sendLast = () => {
    assert.ok(post.send(ref, 'last', false))
    assert.ok(post.close(ref, 1000, ''))
  }
  await fixture.move(connection as never)
  assert.deepEqual(sent, ['elsewhere 0 > 10', 'send last > 10', 'close 0 > 10'])
  assert.deepEqual(fixture.forwarded, [])
  assert.deepEqual(fixture.failures, [])
})

test('post: the owner hears of a connection once, and of its end, and nothing after that', async () => {
  await using fixture = new MoveFixture({ tcp: { data: () => {} } as never })
  const { post, sent } = create(fixture)
  const { connection, client } = await fixture.pair()
  post.refOf(connection)
  post.refOf(connection)
  client.destroy()
  await until('it has ended', () => fixture.size === 0)
  post.ended(connection.id, connection.session)
  // As a handler's `close` does to tell an actor who is gone.
  post.refOf(connection)
  assert.deepEqual(sent, ['elsewhere 0 > 10', 'elsewhere 1 > 10'])
})

test('post: an owner whose ring is full is told later, and of what never reached it only the end', async () => {
  await using fixture = new MoveFixture({ tcp: { data: () => {} } as never })
  let room = false
  const { post, sent } = create(fixture, OWNER, () => room)
  const { connection, client } = await fixture.pair()
  post.refOf(connection)
  fixture.timers.run(25)
  assert.deepEqual(sent, [])
  room = true
  fixture.timers.run(25)
  assert.deepEqual(sent, ['elsewhere 0 > 10'])
  room = false
  client.destroy()
  await until('it has ended', () => fixture.size === 0)
  post.ended(connection.id, connection.session)
  room = true
  fixture.timers.run(25)
  assert.deepEqual(sent, ['elsewhere 0 > 10', 'elsewhere 1 > 10'])
})

test('post: what is held for a connection survives another attempt to bring it, and nothing survives its thread', async () => {
  await using fixture = new MoveFixture({ tcp: { data: () => {} } as never })
  const { post, sent } = create(fixture, HERE)
  post.hold([1, 2], THERE)
  post.send(refOf(1), 'one', false)
  post.hold([1], THERE)
  post.send(refOf(1), 'two', false)
  post.release(1)
  assert.deepEqual(sent, ['sendHere one > 9', 'sendHere two > 9'])
  post.send(refOf(2), 'three', false)
  post.threadDown(THERE)
  post.release(2)
  assert.equal(sent.length, 2)
})
