import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineActor, Refusal } from '../../src/actor/definition.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { slotOf } from '../../src/placement/slots.ts'
import { FixtureShards } from './shard-fixture.ts'

const counter = defineActor({
  kind: 'counter',
  create: () => ({ count: 0 }),
  on: {
    add: (state, amount: number) => {
      state.count += amount
      return state.count
    },
    get: (state) => state.count,
    fail: () => {
      throw new TypeError('broken')
    },
    refuse: () => {
      throw new Refusal('not today', { day: 'monday' })
    },
    // Without a prototype, as the groups of a regular expression: `String` of one throws.
    throwGroups: () => {
      throw /(?<day>.+)/.exec('monday')?.groups
    },
    refuseGroups: () => {
      throw new Refusal('not today', { at: /(?<day>.+)/.exec('monday')?.groups })
    },
    echo: (_state, value: unknown) => value,
    swell: (_state, bytes: number) => Buffer.alloc(bytes),
    remind: (_state, amount: number, context) => context.after('soon', 100, 'add', amount),
    stop: (_state, _none: undefined, context) => context.stop(),
    where: (_state, _none: undefined, context) => `${context.kind}/${context.id}`,
  },
})

/** Asks another, or itself in a circle. */
const relay = defineActor({
  kind: 'relay',
  create: () => ({}),
  on: {
    pass: async (_state, path: readonly string[], context): Promise<string> => {
      const [next, ...rest] = path
      return next === undefined ? context.id : `${context.id} ${await context.actor(relay, next).ask('pass', rest)}`
    },
    slow: (_state, gate: string) => gates.get(gate)?.promise,
  },
})

const gates = new Map<string, PromiseWithResolvers<string>>()

function create(limits = {}): FixtureShards {
  return new FixtureShards([counter, relay], [8, 9, 10], limits)
}

async function answerOf<T>(shards: FixtureShards, asked: Promise<T>): Promise<T> {
  asked.catch(() => {})
  await shards.run()
  return asked
}

function codeIs(code: string, details: Record<string, unknown> = {}): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof PolyloopError)
    assert.equal(error.code, code)
    for (const [key, value] of Object.entries(details)) assert.deepEqual(error.details[key], value)
    return true
  }
}

test('actor: answers from any thread, and keeps its state between messages', async () => {
  const shards = create()
  for (const thread of [8, 9, 10]) assert.ok(shards.ref(thread, counter, 'a').tell('add', 1))
  await shards.run()
  for (const thread of [8, 9, 10]) assert.equal(await answerOf(shards, shards.ref(thread, counter, 'a').ask('get')), 3)
  assert.equal(await answerOf(shards, shards.ref(8, counter, 'b').ask('add', 5)), 5)
  assert.equal(await answerOf(shards, shards.ref(8, counter, 'b').ask('where')), 'counter/b')
})

test('actor: is at home where the slot of its address is', async () => {
  const shards = create()
  await answerOf(shards, shards.ref(8, counter, 'x').ask('get'))
  const owner = shards.owners[slotOf('counter/x')] as number
  for (const thread of shards.threads) assert.equal(shards.shard(thread).system.size, thread === owner ? 1 : 0)
})

test('actor: values of every kind cross, and share nothing', async () => {
  const shards = create()
  const values = [
    undefined,
    null,
    true,
    1,
    -1.5,
    2 ** 40,
    12n,
    'text',
    '',
    Buffer.from('bytes'),
    [1, [2]],
    { a: { b: undefined } },
    new Map([['k', new Set([1])]]),
    new Date(5),
  ]
  for (const value of values) {
    for (const thread of [8, 9, 10]) {
      assert.deepEqual(await answerOf(shards, shards.ref(thread, counter, 'v').ask('echo', value)), value)
    }
  }
  const circle: unknown[] = []
  circle.push(circle)
  for (const bad of [() => 1, Symbol('s'), { deep: { f: () => 1 } }, circle]) {
    for (const thread of [8, 9, 10]) {
      await assert.rejects(answerOf(shards, shards.ref(thread, counter, 'v').ask('echo', bad)), codeIs('VALUE_INVALID'))
    }
  }
})

test('actor: an error ends the ask with what was thrown, and a refusal keeps the state', async () => {
  const shards = create()
  const ref = shards.ref(8, counter, 'e')
  await answerOf(shards, ref.ask('add', 7))
  await assert.rejects(
    answerOf(shards, ref.ask('refuse')),
    codeIs('ACTOR_REFUSED', { reason: 'not today', day: 'monday' }),
  )
  assert.equal(await answerOf(shards, ref.ask('get')), 7)
  await assert.rejects(
    answerOf(shards, ref.ask('fail')),
    codeIs('ACTOR_HANDLER_FAILED', { error: 'TypeError: broken' }),
  )
})

test('actor: whatever a handler throws ends at the actor', async () => {
  const shards = create()
  for (const thread of shards.threads) {
    const ref = shards.ref(thread, counter, 'g')
    await assert.rejects(answerOf(shards, ref.ask('refuseGroups')), codeIs('ACTOR_REFUSED', { reason: 'not today' }))
  }
  const ref = shards.ref(8, counter, 'g')
  await assert.rejects(
    answerOf(shards, ref.ask('throwGroups')),
    codeIs('ACTOR_HANDLER_FAILED', { error: 'object: object' }),
  )
  const asked = ref.ask('get')
  await shards.pass(100)
  assert.equal(await asked, 0)
})

test('actor: a failed one pauses, starts afresh, and handles what waited', async () => {
  const shards = create()
  const ref = shards.ref(9, counter, 'f')
  await answerOf(shards, ref.ask('add', 7))
  ref.tell('fail')
  const asked = ref.ask('add', 1)
  await shards.run()
  await shards.pass(9)
  await shards.pass(20)
  assert.equal(await asked, 1)
})

test('actor: one that fails too often is stopped, and comes back after the cool-down', async () => {
  const shards = create()
  const ref = shards.ref(9, counter, 'q')
  for (let failure = 0; failure < 3; failure++) {
    await assert.rejects(answerOf(shards, ref.ask('fail')))
    await shards.pass(110)
  }
  await assert.rejects(answerOf(shards, ref.ask('get')), codeIs('ACTOR_FAILED', { actor: 'counter/q' }))
  await shards.pass(2_100)
  assert.equal(await answerOf(shards, ref.ask('get')), 0)
})

test('actor: one that cannot be created fails the message that woke it, at once and once', async () => {
  const broken = defineActor({
    kind: 'broken',
    create(): number {
      throw new Error('no state today')
    },
    on: { get: (state) => state },
  })
  const shards = new FixtureShards([broken], [8, 9, 10])
  for (const thread of [8, 9, 10]) {
    const asked = shards.ref(thread, broken, `b${thread}`).ask('get')
    await assert.rejects(answerOf(shards, asked), codeIs('ACTOR_HANDLER_FAILED', { error: 'no state today' }))
  }
  const failures = shards.threads.flatMap((thread) =>
    [...shards.shard(thread).system.activations()].map(({ failuresMs }) => failuresMs.length),
  )
  assert.deepEqual(failures, [1, 1, 1])
})

test('actor: unknown kinds and methods are typed errors', async () => {
  const shards = create()
  const other = defineActor({ kind: 'other', create: () => 1, on: { get: (state) => state } })
  for (const thread of [8, 9, 10]) {
    await assert.rejects(answerOf(shards, shards.ref(thread, other, 'a').ask('get')), codeIs('ACTOR_KIND_UNKNOWN'))
    const wrong = shards.ref(thread, counter, 'a') as never as { ask(method: string): Promise<unknown> }
    await assert.rejects(answerOf(shards, wrong.ask('nothing')), codeIs('ACTOR_METHOD_UNKNOWN'))
  }
})

test('ask: ends at its deadline, and the late answer is nobody else’s', async () => {
  const shards = create()
  gates.set('late', Promise.withResolvers())
  const ref = shards.ref(8, relay, 'r')
  const asked = ref.within(50).ask('slow', 'late')
  asked.catch(() => {})
  await shards.run()
  await shards.pass(60)
  await assert.rejects(asked, codeIs('ASK_TIMEOUT', { actor: 'relay/r', method: 'slow' }))
  const next = ref.ask('pass', [])
  gates.get('late')?.resolve('too late')
  assert.equal(await answerOf(shards, next), 'r')
})

test('ask: a message that is past its deadline is not handled', async () => {
  const shards = create()
  gates.set('busy', Promise.withResolvers())
  const ref = shards.ref(8, relay, 'r')
  ref.tell('slow', 'busy')
  await shards.run()
  const asked = ref.within(50).ask('pass', [])
  asked.catch(() => {})
  await shards.pass(100)
  gates.get('busy')?.resolve('')
  await shards.run()
  await assert.rejects(asked, codeIs('ASK_TIMEOUT'))
  const dead = shards.threads.reduce((sum, thread) => sum + (shards.shard(thread).dead.expired ?? 0), 0)
  assert.equal(dead, 1)
})

test('ask: a circle is refused at once, a long way round too', async () => {
  const shards = create()
  assert.equal(await answerOf(shards, shards.ref(8, relay, 'a').ask('pass', ['b', 'c', 'd'])), 'a b c d')
  for (const path of [['a'], ['b', 'a'], ['b', 'c', 'b']]) {
    const asked = answerOf(shards, shards.ref(8, relay, 'a').ask('pass', path))
    await assert.rejects(asked, codeIs('ACTOR_CYCLE'))
    await shards.pass(5_000)
  }
})

test('mailbox: a full one refuses, with the order of the others kept', async () => {
  const shards = create()
  gates.set('hold', Promise.withResolvers())
  const ref = shards.ref(8, relay, 'm')
  ref.tell('slow', 'hold')
  await shards.run()
  const asked = Array.from({ length: 10 }, () => ref.ask('pass', []))
  for (const one of asked) one.catch(() => {})
  await shards.run()
  gates.get('hold')?.resolve('')
  await shards.run()
  const results = await Promise.allSettled(asked)
  assert.deepEqual(
    results.map(({ status }) => status),
    [...Array(8).fill('fulfilled'), 'rejected', 'rejected'],
  )
  await assert.rejects(asked[9] as Promise<string>, codeIs('MAILBOX_FULL', { actor: 'relay/m' }))
})

test('actor: timers are messages, and an idle actor is passivated after them', async () => {
  const shards = create()
  const ref = shards.ref(8, counter, 't')
  await answerOf(shards, ref.ask('remind', 4))
  await shards.pass(90)
  assert.equal(await answerOf(shards, ref.ask('get')), 0)
  await shards.pass(20)
  assert.equal(await answerOf(shards, ref.ask('get')), 4)
  await shards.pass(125_000)
  assert.equal(await answerOf(shards, ref.ask('get')), 0)
  await answerOf(shards, ref.ask('add', 2))
  await answerOf(shards, ref.ask('stop'))
  assert.equal(await answerOf(shards, ref.ask('get')), 0)
})

test('move: state, timers, mailbox and failures go along, and nobody notices', async () => {
  const shards = create()
  const slot = slotOf('counter/m')
  const ref = shards.ref(8, counter, 'm')
  await answerOf(shards, ref.ask('add', 5))
  await answerOf(shards, ref.ask('remind', 100))
  const from = shards.owners[slot] as number
  const to = from === 10 ? 8 : from + 1
  ref.tell('add', 1)
  shards.move([slot], from, to)
  ref.tell('add', 1)
  await shards.run()
  assert.deepEqual(shards.moving, [])
  assert.equal(shards.shard(from).system.size, 0)
  assert.equal(shards.shard(to).system.size, 1)
  assert.equal(await answerOf(shards, ref.ask('get')), 7)
  await shards.pass(110)
  assert.equal(await answerOf(shards, ref.ask('get')), 107)
})

test('move: waits for the handler an actor is in, and the messages behind it keep their order', async () => {
  const shards = create()
  const slot = slotOf('relay/w')
  const from = shards.owners[slot] as number
  const to = from === 10 ? 8 : from + 1
  gates.set('in', Promise.withResolvers())
  const other = shards.threads.find((thread) => thread !== from && thread !== to) as number
  const refs = [from, to, other].map((thread) => shards.ref(thread, relay, 'w'))
  const first = refs[0]?.ask('slow', 'in')
  await shards.run()
  shards.move([slot], from, to)
  const asked = refs.map((ref) => ref.ask('pass', []))
  await shards.run()
  assert.equal(shards.moving.length, 1)
  gates.get('in')?.resolve('done')
  await shards.run()
  assert.equal(await first, 'done')
  assert.deepEqual(await Promise.all(asked), ['w', 'w', 'w'])
  assert.deepEqual(shards.moving, [])
  assert.equal(shards.shard(to).system.size, 1)
})

test('move: an actor whose handler does not end is given up, and its address lives on', async () => {
  const shards = create()
  const slot = slotOf('relay/z')
  const from = shards.owners[slot] as number
  const to = from === 10 ? 8 : from + 1
  gates.set('never', Promise.withResolvers())
  shards.ref(from, relay, 'z').tell('slow', 'never')
  await shards.run()
  shards.move([slot], from, to)
  const asked = shards.ref(from, relay, 'z').within(5_000).ask('pass', [])
  asked.catch(() => {})
  await shards.run()
  await shards.pass(600)
  await assert.rejects(asked, codeIs('ACTOR_UNREACHABLE'))
  assert.equal(await answerOf(shards, shards.ref(from, relay, 'z').ask('pass', [])), 'z')
  assert.deepEqual(shards.moving, [])
})

test('crash: its actors begin anew, asks end by their deadline, moves to and from it end', async () => {
  const shards = create()
  const slot = slotOf('counter/c')
  const from = shards.owners[slot] as number
  const to = from === 10 ? 8 : from + 1
  const other = shards.threads.find((thread) => thread !== from && thread !== to) as number
  const ref = shards.ref(other, counter, 'c')
  await answerOf(shards, ref.ask('add', 5))
  shards.move([slot], from, to)
  shards.kill(from)
  shards.start(from)
  const asked = ref.ask('get')
  asked.catch(() => {})
  await shards.run()
  assert.equal(await asked, 0)
  assert.deepEqual(shards.moving, [])
  const again = ref.ask('add', 3)
  shards.kill(to)
  await shards.run()
  shards.start(to)
  await shards.run()
  assert.equal(await again, 3)
})

test('limit: a message larger than a ring takes is refused, both ways', async () => {
  const shards = create()
  const far = shards.threads.find((thread) => thread !== shards.owners[slotOf('counter/big')]) as number
  const ref = shards.ref(far, counter, 'big')
  await assert.rejects(
    answerOf(shards, ref.ask('echo', Buffer.alloc(65 * 1024))),
    codeIs('MESSAGE_TOO_LARGE', { max: 65_536 }),
  )
  assert.throws(() => ref.tell('echo', Buffer.alloc(65 * 1024)), codeIs('MESSAGE_TOO_LARGE'))
  await assert.rejects(answerOf(shards, ref.ask('swell', 65 * 1024)), codeIs('MESSAGE_TOO_LARGE', { max: 65_536 }))
  assert.equal((await answerOf(shards, ref.ask('swell', 60 * 1024))).length, 60 * 1024)
})

test('limit: asks that wait are counted, and one too many fails', async () => {
  const shards = create({ asksMax: 3 })
  const asked = Array.from({ length: 4 }, () => shards.ref(8, counter, 'n').ask('get'))
  await assert.rejects(asked[3] as Promise<number>, codeIs('ASKS_TOO_MANY', { max: 3 }))
  await shards.run()
  assert.deepEqual(await Promise.all(asked.slice(0, 3)), [0, 0, 0])
})

test('limit: a ring that is full refuses at once', async () => {
  const shards = create()
  shards.queueMax = 2
  const far = shards.threads.find((thread) => thread !== shards.owners[slotOf('counter/f')]) as number
  const ref = shards.ref(far, counter, 'f')
  assert.deepEqual([ref.tell('add', 1), ref.tell('add', 1), ref.tell('add', 1)], [true, true, false])
  await assert.rejects(ref.ask('get'), codeIs('RING_FULL', { actor: 'counter/f', method: 'get' }))
  await shards.run()
  assert.equal(await answerOf(shards, ref.ask('get')), 2)
})

test('heap: a shard that is full takes no new actors, keeps the old ones, and lets idle ones go', async () => {
  const shards = create()
  const owner = shards.owners[slotOf('counter/h')] as number
  assert.equal(await answerOf(shards, shards.ref(8, counter, 'h').ask('add', 4)), 4)
  const { system } = shards.shard(owner)
  system.refusing = true
  assert.equal(await answerOf(shards, shards.ref(8, counter, 'h').ask('get')), 4)
  const other = Array.from({ length: 100 }, (_, index) => `h${index}`).find(
    (id) => shards.owners[slotOf(`counter/${id}`)] === owner,
  ) as string
  for (const thread of shards.threads) {
    const asked = shards.ref(thread, counter, other).ask('get')
    await assert.rejects(answerOf(shards, asked), codeIs('HEAP_FULL', { actor: `counter/${other}` }))
  }
  assert.equal(system.passivateIdle(), 1)
  assert.equal(system.size, 0)
  system.refusing = false
  assert.equal(await answerOf(shards, shards.ref(8, counter, 'h').ask('get')), 0)
})

test('close: asks that wait end with the thread', async () => {
  const shards = create()
  const far = shards.threads.find((thread) => thread !== shards.owners[slotOf('counter/x')]) as number
  const asked = shards.ref(far, counter, 'x').ask('get')
  shards.shard(far).system.close()
  await assert.rejects(asked, codeIs('RUNTIME_CLOSED', { actor: 'counter/x', method: 'get' }))
})

test('definition: what cannot be an actor is a TypeError', () => {
  const create = (): number => 0
  for (const kind of ['', 'A', 'a/b', '-a', 'x'.repeat(64)])
    assert.throws(() => defineActor({ kind, create, on: {} }), TypeError)
  assert.throws(() => defineActor({ kind: 'a', create, on: { x: 1 as never } }), /not a function/)
  assert.throws(() => defineActor({ kind: 'a', create, on: {}, idleAfter: 'soon' }), /no duration/)
  assert.throws(refOfNothing, codeIs('VALUE_INVALID'))
})

function refOfNothing(): void {
  create().ref(8, counter, '')
}
