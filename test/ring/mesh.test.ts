import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as immediate } from 'node:timers/promises'
import { Doorbell } from '../../src/ring/doorbell.ts'
import { createLinkEnds } from '../../src/ring/link.ts'
import { Net, type Node, sendText, waitUntil } from './pair.ts'

const texts = (node: Node): string[] => node.received.map(({ text }) => text)
const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index))

/** Steps a mesh by hand: turns are collected instead of scheduled. */
class Turns {
  readonly #pending: (() => void)[] = []
  readonly schedule = (turn: () => void): void => {
    this.#pending.push(turn)
  }

  /** Runs the pending turn; false if the mesh sleeps. */
  step(): boolean {
    const turn = this.#pending.shift()
    turn?.()
    return turn !== undefined
  }

  untilAsleep(): void {
    let steps = 0
    while (this.step()) assert.ok(++steps < 1_000, 'the mesh goes to sleep')
  }
}

for (const bell of ['port', 'wait-async'] as const) {
  test(`mesh: ${bell}: messages go both ways, in order, and wake a sleeper`, async () => {
    using net = new Net(bell)
    const [a, b] = [net.node(8), net.node(9)]
    net.link(a, 8, b, 9)
    for (let round = 0; round < 20; round++) {
      const [wakesA, wakesB] = [a.mesh.stats().wakesOut, b.mesh.stats().wakesOut]
      assert.ok(sendText(a.mesh, 9, `ping ${round}`))
      await waitUntil('the ping arrived', () => b.received.length === round + 1)
      assert.ok(sendText(b.mesh, 8, `pong ${round}`, 'control', 7))
      await waitUntil('the pong arrived', () => a.received.length === round + 1)
      assert.deepEqual(b.received[round], { source: 8, kind: 1, text: `ping ${round}` })
      assert.deepEqual(a.received[round], { source: 9, kind: 7, text: `pong ${round}` })
      assert.ok(a.mesh.stats().wakesOut - wakesA <= 1 && b.mesh.stats().wakesOut - wakesB <= 1)
    }
    assert.deepEqual([a.faults, b.faults], [[], []])
  })
}

test('mesh: the first of a turn of the event loop leaves at once, the others together at its end, or when they are many', async () => {
  using net = new Net()
  const [a, b] = [net.node(8), net.node(9)]
  // What b looks at; before it sleeps, because a new one wakes it.
  const bell = new Doorbell(net.doorbells, 9)
  net.link(a, 8, b, 9, { data: 16_384, control: 256 })
  await waitUntil('both sleep', () => a.mesh.stats().wakesOut + b.mesh.stats().wakesOut > 0)
  await immediate()
  const isMarked = (): boolean => {
    let marks = 0
    bell.take(() => marks++)
    return marks > 0
  }
  isMarked()
  const [first, second] = [Promise.withResolvers<boolean>(), Promise.withResolvers<boolean>()]
  const say = (text: string, { resolve }: PromiseWithResolvers<boolean>): void => {
    assert.ok(sendText(a.mesh, 9, text))
    queueMicrotask(() => resolve(isMarked()))
  }
  setImmediate(() => say('0', first))
  setImmediate(() => say('1', second))
  assert.deepEqual(await Promise.all([first.promise, second.promise]), [true, false])
  await immediate()
  assert.ok(isMarked(), 'it left when the turn ended')
  assert.ok(sendText(a.mesh, 9, '2'))
  await Promise.resolve()
  assert.ok(isMarked())
  for (const text of numbers(15)) assert.ok(sendText(a.mesh, 9, text))
  assert.ok(!isMarked())
  assert.ok(sendText(a.mesh, 9, '15'))
  assert.ok(isMarked(), 'many do not wait for the end')
  assert.ok(sendText(a.mesh, 9, 'last'))
  await waitUntil('all arrived', () => texts(b).at(-1) === 'last')
  assert.equal(b.received.length, 20)
})

test('mesh: a link is asked for once, and what was sent before it came arrives in order', async () => {
  using net = new Net()
  const [a, b] = [net.node(8), net.node(9)]
  for (const text of numbers(100)) assert.ok(sendText(a.mesh, 9, text))
  assert.deepEqual(a.requested, [9])
  assert.equal(a.mesh.stats().full, 0)
  net.link(a, 8, b, 9)
  assert.ok(sendText(a.mesh, 9, '100'))
  await waitUntil('all arrived', () => b.received.length === 101)
  assert.deepEqual(texts(b), numbers(101))
  assert.deepEqual(b.requested, [])
})

test('mesh: beyond the ring messages wait in order, beyond the bound they are refused and counted', async () => {
  using net = new Net()
  const [a, b] = [net.node(8, { overflowBytesMax: 4_000 }), net.node(9)]
  net.link(a, 8, b, 9)
  const taken = numbers(1_000).filter((text) => sendText(a.mesh, 9, text))
  const { full, refused, recordsOut, overflowBytes } = a.mesh.stats()
  assert.ok(full > 0 && refused > 0)
  assert.equal(recordsOut, taken.length)
  assert.equal(recordsOut + refused, 1_000)
  assert.ok(overflowBytes > 3_800 && overflowBytes <= 4_000, `${overflowBytes}`)
  await waitUntil('all taken arrived', () => b.received.length === taken.length)
  assert.deepEqual(texts(b), taken)
  assert.equal(a.mesh.stats().overflowBytes, 0)
  assert.equal(a.mesh.stats().usedBytes, 0)
  assert.ok(sendText(a.mesh, 9, 'again'))
  await waitUntil('room came back', () => texts(b).at(-1) === 'again')
})

test('mesh: large messages are cut and joined, a message over the limit is refused and named', async () => {
  using net = new Net()
  const [a, b] = [net.node(8, { messageBytesMax: 20_000 }), net.node(9)]
  net.link(a, 8, b, 9)
  const large = ['x'.repeat(20_000), 'y', 'z'.repeat(249), 'v'.repeat(5_000)]
  for (const text of large) assert.ok(sendText(a.mesh, 9, text))
  assert.equal(sendText(a.mesh, 9, 'w'.repeat(20_001)), false)
  assert.deepEqual(a.faults, [{ what: 'message-too-large', peer: 9, kind: 1, bytes: 20_001 }])
  await waitUntil('all arrived', () => b.received.length === large.length)
  assert.deepEqual(texts(b), large)
})

test('mesh: control overtakes data, and passes while the data ring and its overflow are full', () => {
  using net = new Net()
  const turns = new Turns()
  const a = net.node(8, { overflowBytesMax: 1_000 })
  const b = net.node(9, { schedule: turns.schedule, drainRecordsMax: 16 })
  net.link(a, 8, b, 9)
  turns.untilAsleep()
  while (sendText(a.mesh, 9, 'data'));
  assert.ok(sendText(a.mesh, 9, 'control', 'control'))
  assert.ok(sendText(a.mesh, 9, 'control', 'control'))
  a.mesh.flush()
  b.mesh.detach(8) // wakes b by hand: its port would ring only in a later turn of the loop
  assert.ok(turns.step())
  assert.deepEqual(texts(b).slice(0, 3), ['control', 'control', 'data'])
  assert.ok(b.received.length < 40, 'the budget held')
})

test('mesh: control of any peer comes before data of every peer', () => {
  using net = new Net()
  const turns = new Turns()
  const [a, c] = [net.node(8), net.node(10)]
  const b = net.node(9, { schedule: turns.schedule })
  net.link(a, 8, b, 9)
  net.link(b, 9, c, 10)
  turns.untilAsleep()
  sendText(a.mesh, 9, 'data')
  sendText(c.mesh, 9, 'control', 'control')
  a.mesh.flush()
  c.mesh.flush()
  b.mesh.detach(8) // wakes b, and puts the peer with data ahead in its queue
  turns.untilAsleep()
  assert.deepEqual(texts(b), ['control', 'data'])
})

test('mesh: who waits for an answer goes on, and what it sends leaves, before the turn reads all answers', async () => {
  using net = new Net()
  const turns = new Turns()
  const b = net.node(9)
  let read = 0
  const readBefore: number[] = []
  const a = net.node(8, {
    schedule: turns.schedule,
    drainMs: 10_000,
    sink: () => {
      read++
      queueMicrotask(() => {
        readBefore.push(read)
        sendText(a.mesh, 9, 'next')
      })
    },
  })
  net.link(a, 8, b, 9, { data: 65_536, control: 65_536 })
  turns.untilAsleep()
  for (let index = 0; index < 200; index++) sendText(b.mesh, 8, 'answer', 'control')
  b.mesh.flush()
  a.mesh.detach(9) // wakes a
  assert.ok(turns.step())
  assert.ok(read < 100, `${read} in the first part`)
  await immediate()
  assert.equal(read, 200, 'the others are of the same turn')
  assert.ok((readBefore[0] as number) < 100, 'the first went on before the last was read')
  await waitUntil('what they sent arrived', () => b.received.length === 200)
})

test('mesh: a mark that comes while a turn ends is seen by the last look before sleep', () => {
  using net = new Net()
  const turns = new Turns()
  const [a, c] = [net.node(8), net.node(10)]
  const seen: number[] = []
  const b = net.node(9, {
    schedule: turns.schedule,
    sink: (source) => {
      seen.push(source)
      if (source !== 8) return
      // b has taken its marks and does not sleep yet: c marks itself, and does not ring.
      const rings = c.mesh.stats().wakesOut
      sendText(c.mesh, 9, 'late')
      c.mesh.flush()
      assert.equal(c.mesh.stats().wakesOut, rings)
    },
  })
  net.link(a, 8, b, 9)
  net.link(b, 9, c, 10)
  turns.untilAsleep()
  sendText(a.mesh, 9, 'early')
  a.mesh.flush()
  b.mesh.detach(8)
  turns.untilAsleep()
  assert.deepEqual(seen, [8, 10])
})

test('mesh: a flood on one lane or from one peer cannot starve the others', () => {
  using net = new Net()
  const turns = new Turns()
  const [a, c] = [net.node(8), net.node(10)]
  const b = net.node(9, { schedule: turns.schedule, drainRecordsMax: 32 })
  net.link(a, 8, b, 9, { data: 65_536, control: 65_536 })
  net.link(b, 9, c, 10)
  turns.untilAsleep()
  for (let index = 0; index < 1_000; index++) {
    sendText(a.mesh, 9, 'flood', 'control')
    sendText(a.mesh, 9, 'flood')
  }
  sendText(c.mesh, 9, 'quiet')
  a.mesh.flush()
  c.mesh.flush()
  b.mesh.detach(8)
  for (let turn = 0; turn < 2; turn++) turns.step()
  assert.ok(texts(b).includes('quiet'))
})

test('mesh: both sides full in both directions still make progress', async () => {
  using net = new Net()
  const nodes: Node[] = []
  const echo = (self: number) => ({
    // Each message is answered on the same full lane, until its count is used up.
    sink: (source: number, kind: number) => {
      received[self === 8 ? 0 : 1]++
      if (kind > 0) sendText(nodes[self - 8]?.mesh ?? assert.fail(), source, 'x'.repeat(100), 'data', kind - 1)
    },
  })
  const received: [number, number] = [0, 0]
  nodes.push(net.node(8, echo(8)), net.node(9, echo(9)))
  const [a, b] = nodes
  assert.ok(a !== undefined && b !== undefined)
  net.link(a, 8, b, 9)
  for (let index = 0; index < 100; index++) {
    assert.ok(sendText(a.mesh, 9, 'x'.repeat(100), 'data', 20))
    assert.ok(sendText(b.mesh, 8, 'x'.repeat(100), 'data', 20))
  }
  assert.ok(a.mesh.stats().full > 0 && b.mesh.stats().full > 0)
  await waitUntil('every chain of answers ended', () => received[0] + received[1] === 2 * 100 * 21)
})

test('mesh: sleeps after a few empty turns, and is not rung while awake', () => {
  using net = new Net()
  const turns = new Turns()
  const a = net.node(8)
  const b = net.node(9, { schedule: turns.schedule })
  net.link(a, 8, b, 9)
  const rings = a.mesh.stats().wakesOut
  sendText(a.mesh, 9, 'while awake')
  a.mesh.flush()
  assert.equal(a.mesh.stats().wakesOut, rings, 'nobody else pays')
  turns.untilAsleep()
  assert.deepEqual(texts(b), ['while awake'])
  for (const text of ['one', 'two']) {
    sendText(a.mesh, 9, text)
    a.mesh.flush()
  }
  assert.equal(a.mesh.stats().wakesOut, rings + 1, 'one ring a sleep')
})

test('mesh: the watchdog heals a lost ring, counts it once, and forgives a young mark', () => {
  using net = new Net()
  const turns = new Turns()
  const [a, b] = [net.node(8), net.node(9, { schedule: turns.schedule })]
  const memory = net.link(a, 8, b, 9)
  turns.untilAsleep()
  b.mesh.watchdog(0)
  // The ring goes to a port whose other end nobody holds.
  const lost = createLinkEnds(memory)
  a.mesh.attach(lost.low)
  lost.high.port.close()
  sendText(a.mesh, 9, 'lost')
  a.mesh.flush()
  b.mesh.watchdog(500)
  b.mesh.watchdog(899)
  assert.equal(b.mesh.stats().watchdogWakes, 0)
  b.mesh.watchdog(900)
  turns.untilAsleep()
  assert.deepEqual(texts(b), ['lost'])
  assert.equal(b.mesh.stats().watchdogWakes, 1)
  assert.deepEqual(b.faults, [{ what: 'late-wake', asleepMs: 400 }])
  b.mesh.watchdog(2_000)
  b.mesh.watchdog(3_000)
  assert.equal(b.mesh.stats().watchdogWakes, 1)
})

test('mesh: the successor of a dead peer reads what was sent before and after its death', async () => {
  using net = new Net()
  const a = net.node(8)
  const dead = net.node(9, { schedule: () => {} })
  const memory = net.link(a, 8, dead, 9)
  for (const text of numbers(100)) assert.ok(sendText(a.mesh, 9, text))
  a.mesh.flush()
  dead.mesh.close()
  a.mesh.detach(9)
  assert.ok(sendText(a.mesh, 9, '100'))
  const successor = net.node(9, { generation: 2 })
  const ends = createLinkEnds(memory)
  successor.mesh.attach(ends.high)
  a.mesh.attach(ends.low)
  assert.ok(sendText(a.mesh, 9, '101'))
  await waitUntil('all arrived', () => successor.received.length === 102)
  assert.deepEqual(texts(successor), numbers(102))
  assert.ok(sendText(successor.mesh, 8, 'here'))
  await waitUntil('the successor is heard', () => texts(a).includes('here'))
})

test('mesh: attach rings, though the sleeping word was swapped for a ring at a dead port', async () => {
  using net = new Net()
  const turns = new Turns()
  const a = net.node(8)
  const b = net.node(9, { schedule: turns.schedule })
  const memory = net.link(a, 8, b, 9)
  const ends = createLinkEnds(memory)
  b.mesh.attach(ends.high)
  turns.untilAsleep()
  sendText(a.mesh, 9, 'waiting for the ring')
  a.mesh.detach(9)
  assert.ok(new Doorbell(net.doorbells, 10).takeSleeper(9), 'somebody else rings in vain')
  a.mesh.attach(ends.low)
  await waitUntil('b has a turn', () => {
    turns.step()
    return b.received.length === 1
  })
})

test('mesh: what was sent and not yet flushed survives new ends, and being forgotten', async () => {
  using net = new Net()
  const [a, b] = [net.node(8), net.node(9)]
  const memory = net.link(a, 8, b, 9)
  for (const text of numbers(3)) {
    assert.ok(sendText(a.mesh, 9, text))
    if (text === '1') a.mesh.forget(9)
    const ends = createLinkEnds(memory)
    a.mesh.attach(ends.low)
    b.mesh.attach(ends.high)
  }
  await waitUntil('all arrived', () => b.received.length === 3)
  assert.deepEqual(texts(b), numbers(3))
})

test('mesh: half a message of a dead peer is discarded with a fault that names it', async () => {
  using net = new Net()
  const [a, dead] = [net.node(8), net.node(9)]
  const memory = net.link(a, 8, dead, 9)
  sendText(dead.mesh, 8, 'x'.repeat(10_000))
  dead.mesh.close()
  a.mesh.detach(9)
  const successor = net.node(9, { generation: 2 })
  const ends = createLinkEnds(memory)
  a.mesh.attach(ends.low)
  successor.mesh.attach(ends.high)
  sendText(successor.mesh, 8, 'hello')
  await waitUntil('the successor is heard', () => texts(a).includes('hello'))
  assert.deepEqual(texts(a), ['hello'])
  assert.deepEqual(a.faults, [{ what: 'chunks-discarded', source: 9, chunks: 4 }])
  assert.equal(a.mesh.stats().discardedChunks, 4)
})

test('mesh: forgetting a peer drops what waited, counts it, and a new send asks for a new link', () => {
  using net = new Net()
  const a = net.node(8)
  for (const text of numbers(3)) sendText(a.mesh, 9, text)
  a.mesh.forget(9)
  assert.equal(a.mesh.stats().dropped, 3)
  assert.equal(a.mesh.stats().overflowBytes, 0)
  sendText(a.mesh, 9, 'again')
  assert.deepEqual(a.requested, [9, 9])
})

test('mesh: a sink may close its mesh: nothing is delivered after that, the rest stays for a successor', () => {
  using net = new Net()
  const turns = new Turns()
  const a = net.node(8)
  let delivered = 0
  const b = net.node(9, {
    schedule: turns.schedule,
    sink: () => {
      delivered++
      b.mesh.close()
    },
  })
  const memory = net.link(a, 8, b, 9)
  for (const text of numbers(5)) sendText(a.mesh, 9, text)
  a.mesh.flush()
  turns.untilAsleep()
  assert.equal(delivered, 1)
  assert.equal(sendText(b.mesh, 8, 'closed'), false)
  const late = createLinkEnds(memory)
  b.mesh.attach(late.high) // closes the port: nobody will read there
  const successor = net.node(9, { generation: 2, schedule: turns.schedule })
  successor.mesh.attach(createLinkEnds(memory).high)
  turns.untilAsleep()
  assert.deepEqual(texts(successor), ['1', '2', '3', '4'])
})

test('mesh: a sink that throws loses its own record only', () => {
  using net = new Net()
  const turns = new Turns()
  const a = net.node(8)
  const seen: number[] = []
  const b = net.node(9, {
    schedule: turns.schedule,
    sink: (_source, kind) => {
      if (kind === 2) throw new Error('user code')
      seen.push(kind)
    },
  })
  net.link(a, 8, b, 9)
  for (const kind of [1, 2, 3]) sendText(a.mesh, 9, 'x', 'data', kind)
  a.mesh.flush()
  assert.throws(() => turns.untilAsleep(), /user code/)
  turns.untilAsleep()
  assert.deepEqual(seen, [1, 3])
})
