import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACTOR_RECORD } from '../../src/actor/record.ts'
import { type MoveMessage, Router, type SlotMove } from '../../src/actor/router.ts'

const KIND = 40
const SLOT = 7
const HELD_BYTES_MAX = 64
const [A, B, S] = [8, 9, 10] as const

/** A router with everything it did in one list. */
function create(self: number, owner: number = A) {
  const log: string[] = []
  const attempts: (() => boolean)[] = []
  const posted: MoveMessage[] = []
  const room = { left: Number.POSITIVE_INFINITY, staying: false }
  const router = new Router({
    self,
    owners: () => owner,
    toThread(thread, kind, head, headBytes) {
      if (room.left-- <= 0) return false
      const bytes = Buffer.from(head.subarray(0, headBytes))
      log.push(
        kind === ACTOR_RECORD.fence ? `fence ${bytes.readUInt32LE(0)} > ${thread}` : `${textOf(bytes)} > ${thread}`,
      )
      return true
    },
    deliver: (_kind, source, record) => void log.push(`${source}: ${textOf(record)}`),
    stays: () => room.staying,
    reject: (_kind, source, record, reason) => void log.push(`${reason} ${source}: ${textOf(record)}`),
    retry: (attempt) => void attempts.push(attempt),
    ended: (move) => void log.push(`ended ${move.id}`),
    heldBytesMax: HELD_BYTES_MAX,
  })
  const post = (message: MoveMessage): void => {
    posted.push(message)
    log.push(message.kind === 'fence' ? `post fence ${message.source}` : `post ${textOf(Buffer.from(message.bytes))}`)
  }
  return { router, log, attempts, posted, post, room, send: (text: string) => send(router, text) }
}

function record(text: string): Buffer {
  const bytes = Buffer.alloc(4 + text.length)
  bytes.writeUInt16LE(SLOT, 0)
  bytes.write(text, 4)
  return bytes
}

function textOf(bytes: Buffer): string {
  return bytes.toString('latin1', 4)
}

function send(router: Router, text: string): boolean {
  const bytes = record(text)
  return router.route(SLOT, KIND, bytes, bytes.length)
}

function moveOf(sources: readonly number[] = [A, B, S], id = 1): SlotMove {
  return { id, from: A, to: B, slots: Uint16Array.of(SLOT), sources }
}

test('router: delivers here what it owns, and sends the rest to the owner', () => {
  const here = create(A)
  assert.ok(here.send('x'))
  here.router.receive(KIND, S, record('y'))
  assert.deepEqual(here.log, ['8: x', '10: y'])
  assert.ok(here.router.isHome(SLOT))
  const there = create(B)
  assert.ok(there.send('x'))
  there.room.left = 0
  assert.equal(there.send('y'), false)
  assert.deepEqual(there.log, ['x > 8'])
})

test('router: head and body become one record, in a call within a call too', () => {
  const seen: string[] = []
  const router: Router = new Router({
    self: A,
    owners: () => A,
    toThread: () => false,
    deliver(_kind, _source, bytes) {
      const text = textOf(bytes)
      if (text === 'outer body') router.route(SLOT, KIND, record('inner'), 9, Buffer.from('! body'), 2)
      seen.push(`${text}, still ${textOf(bytes)}`)
    },
    stays: () => false,
    reject: () => {},
    retry: () => {},
    ended: () => {},
    heldBytesMax: 0,
  })
  assert.ok(router.route(SLOT, KIND, record('outer+'), 9, Buffer.from('>> body <<'), 2, 5))
  assert.deepEqual(seen, ['innerbody, still innerbody', 'outer body, still outer body'])
})

test('router: what nobody sends here any more is rejected', () => {
  const { router, log } = create(B)
  router.receive(KIND, S, record('old'))
  assert.deepEqual(log, ['left_over 10: old'])
})

test('move: a bystander shifts, and its fence is behind what it sent before', () => {
  const { router, log, send: tell } = create(S)
  tell('1')
  router.shift(moveOf())
  tell('2')
  assert.deepEqual(log, ['1 > 8', 'fence 1 > 8', '2 > 9'])
  assert.equal(router.ownerOf(SLOT), B)
})

test('move: a fence that finds no room is tried again', () => {
  const { router, log, attempts, room } = create(S)
  room.left = 0
  router.shift(moveOf())
  assert.equal(attempts.length, 1)
  assert.equal(attempts[0]?.(), false)
  room.left = 1
  assert.equal(attempts[0]?.(), true)
  assert.deepEqual(log, ['fence 1 > 8'])
})

test('move: the new owner holds each sender until its own fence', () => {
  const { router, log, send: tell } = create(B)
  router.expect(moveOf())
  router.shift(moveOf())
  router.receive(KIND, S, record('s1'))
  tell('own')
  router.receive(KIND, A, record('a1'))
  assert.deepEqual(log, ['fence 1 > 8'])
  assert.equal(router.isHome(SLOT), false)
  router.arrived(1, { kind: 'record', source: S, record: KIND, bytes: record('s0') })
  router.arrived(1, { kind: 'fence', source: S })
  assert.deepEqual(log.splice(1), ['10: s0', '10: s1'])
  router.receive(KIND, S, record('s2'))
  assert.deepEqual(log.splice(1), ['10: s2'])
  router.arrived(1, { kind: 'fence', source: B })
  router.arrived(1, { kind: 'fence', source: A })
  assert.deepEqual(log.splice(1), ['9: own', '8: a1', 'ended 1'])
  assert.ok(router.isHome(SLOT))
  assert.equal(router.heldBytes, 0)
})

test('move: a thread that started meanwhile waits until the old owner has let go', () => {
  const { router, log } = create(B)
  router.expect(moveOf([A, B]))
  router.receive(KIND, S, record('early'))
  assert.deepEqual(log, [])
  router.arrived(1, { kind: 'fence', source: B })
  assert.deepEqual(log, ['10: early'])
  router.receive(KIND, S, record('late'))
  router.arrived(1, { kind: 'fence', source: A })
  assert.deepEqual(log, ['10: early', '10: late', 'ended 1'])
})

test('move: beyond the limit a record is rejected, and an own one refused', () => {
  const { router, log, send: tell } = create(B)
  router.expect(moveOf())
  router.shift(moveOf())
  const full = 'f'.repeat(HELD_BYTES_MAX - 4)
  assert.ok(tell(full))
  assert.equal(router.heldBytes, HELD_BYTES_MAX)
  assert.equal(tell(''), false)
  router.receive(KIND, S, record('s'))
  assert.deepEqual(log, ['fence 1 > 8', 'held_too_much 10: s'])
})

test('move: the old owner keeps what stays, forwards the rest, and its own fence is the last', () => {
  const { router, log, post, room, send: tell } = create(A)
  router.shift(moveOf(), post)
  room.staying = true
  router.receive(KIND, S, record('stays'))
  room.staying = false
  router.receive(KIND, S, record('s1'))
  assert.ok(tell('own'))
  router.fence(1, S)
  router.emptied(1)
  assert.deepEqual(log, ['post s1', 'post own', 'post fence 10'])
  router.fence(1, B)
  assert.deepEqual(log.splice(3), ['post fence 9', 'post fence 8', 'ended 1'])
  tell('after')
  assert.deepEqual(log.splice(3), ['after > 9'])
})

test('move: a fence that is faster than the word of main counts, behind what the old owner posts', async () => {
  const { router, log, post } = create(A)
  router.fence(1, S)
  router.receive(KIND, B, record('still here'))
  router.shift(moveOf(), post)
  log.push('released')
  await Promise.resolve()
  router.emptied(1)
  router.fence(1, B)
  assert.deepEqual(log, ['9: still here', 'released', 'post fence 10', 'post fence 9', 'post fence 8', 'ended 1'])
})

test('move: an early fence of a successor outlives the word of the death before it', async () => {
  const { router, log, post } = create(A)
  router.fence(1, S)
  router.threadDown(S)
  router.shift(moveOf([A, S]), post)
  await Promise.resolve()
  router.emptied(1)
  assert.deepEqual(log, ['post fence 10', 'post fence 8', 'ended 1'])
})

test('death: of a source passes on its fence; of the new owner ends the move; of the old one lets all go', () => {
  const old = create(A)
  old.router.shift(moveOf(), old.post)
  old.router.threadDown(S)
  assert.deepEqual(old.log, ['post fence 10'])
  old.router.threadDown(B)
  assert.deepEqual(old.log, ['post fence 10', 'ended 1'])
  old.router.fence(1, B)
  old.router.receive(KIND, S, record('late'))
  assert.deepEqual(old.log.slice(2), ['left_over 10: late'])
  const fresh = create(B)
  fresh.router.expect(moveOf())
  fresh.router.receive(KIND, S, record('s'))
  fresh.router.threadDown(A)
  assert.deepEqual(fresh.log, ['10: s', 'ended 1'])
  assert.equal(fresh.router.moving, false)
})

test('death: of the old owner, with a handler that sends to the slot while it is let go', () => {
  const log: string[] = []
  const router: Router = new Router({
    self: B,
    owners: () => A,
    toThread: () => true,
    deliver(_kind, source, bytes) {
      log.push(`${source}: ${textOf(bytes)}`)
      if (textOf(bytes) === 'first') send(router, 'second')
    },
    stays: () => false,
    reject: () => {},
    retry: () => {},
    ended: () => void log.push('ended'),
    heldBytesMax: HELD_BYTES_MAX,
  })
  router.expect(moveOf([A, B, S]))
  router.shift(moveOf([A, B, S]))
  router.receive(KIND, S, record('first'))
  router.threadDown(A)
  assert.deepEqual(log, ['10: first', '9: second', 'ended'])
  assert.equal(router.moving, false)
})

test('move: something of a source may be on its way until its fence has passed, at both ends', () => {
  const old = create(A)
  old.router.shift(moveOf(), old.post)
  const fresh = create(B)
  fresh.router.expect(moveOf())
  for (const { router } of [old, fresh]) assert.ok(router.holds(S))
  old.router.fence(1, S)
  fresh.router.arrived(1, { kind: 'fence', source: S })
  for (const { router } of [old, fresh]) {
    assert.equal(router.holds(S), false)
    assert.ok(router.holds(B))
  }
  assert.deepEqual([[...old.router.newOwners], [...fresh.router.newOwners]], [[B], []])
})
