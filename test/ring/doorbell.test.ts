import assert from 'node:assert/strict'
import { test } from 'node:test'
import { THREADS_MAX } from '../../src/lib/thread.ts'
import { Doorbell, Doorbells } from '../../src/ring/doorbell.ts'
import { Ring, RingReader, RingWriter } from '../../src/ring/ring.ts'

const PRODUCER = 8
const CONSUMER = 9
const MESSAGE = new Uint8Array(1)

/** All orders of two sequences that keep each sequence's own order: true takes a step of the first. */
function interleavings(first: number, second: number): boolean[][] {
  if (first === 0) return [new Array<boolean>(second).fill(false)]
  if (second === 0) return [new Array<boolean>(first).fill(true)]
  return [
    ...interleavings(first - 1, second).map((rest) => [true, ...rest]),
    ...interleavings(first, second - 1).map((rest) => [false, ...rest]),
  ]
}

type ProducerStep = 'publish' | 'mark' | 'take sleeper'
type ConsumerStep = 'read' | 'asleep' | 'look'

/** One producer that sends one record, one consumer that goes to sleep. Answers whether the record was seen, or a ring sent. */
function runProtocol(producer: readonly ProducerStep[], consumer: readonly ConsumerStep[], order: boolean[]): boolean {
  const block = Doorbells.allocate()
  const memory = Ring.allocate(256)
  const writer = new RingWriter(memory)
  const reader = new RingReader(memory)
  const bell = new Doorbell(block, PRODUCER)
  const own = new Doorbell(block, CONSUMER)
  let rung = false
  let seen = false
  let lookedAgain = false
  const readMarked = (): void => {
    own.take((source) => {
      assert.equal(source, PRODUCER)
      reader.drain(10, () => {
        seen = true
      })
    })
  }
  const steps = {
    publish() {
      writer.tryPush(1, 1, MESSAGE, 1)
      writer.publish()
    },
    mark: () => bell.mark(CONSUMER),
    'take sleeper'() {
      rung = bell.takeSleeper(CONSUMER)
    },
    read: readMarked,
    asleep: () => own.asleep(),
    look() {
      lookedAgain = own.hasMarks()
    },
  }
  let [producerAt, consumerAt] = [0, 0]
  for (const producersTurn of order) {
    const name = producersTurn ? producer[producerAt++] : consumer[consumerAt++]
    if (name !== undefined) steps[name]()
  }
  // A ring, or marks at the last look, make the consumer read once more; otherwise it sleeps for good.
  if (rung || lookedAgain) readMarked()
  return seen
}

function hangsOf(producer: readonly ProducerStep[], consumer: readonly ConsumerStep[]): number {
  const orders = interleavings(producer.length, consumer.length)
  assert.equal(orders.length, 20)
  return orders.filter((order) => !runProtocol(producer, consumer, order)).length
}

test('doorbell: no interleaving of sender and sleeper loses a wake-up', () => {
  assert.equal(hangsOf(['publish', 'mark', 'take sleeper'], ['read', 'asleep', 'look']), 0)
})

test('doorbell: swapping either pair loses one, so the test above can fail', () => {
  assert.ok(hangsOf(['publish', 'take sleeper', 'mark'], ['read', 'asleep', 'look']) > 0)
  assert.ok(hangsOf(['publish', 'mark', 'take sleeper'], ['read', 'look', 'asleep']) > 0)
  assert.ok(hangsOf(['mark', 'take sleeper', 'publish'], ['read', 'asleep', 'look']) > 0)
})

test('doorbell: a second message onto a mark that is still set is seen by whoever takes the mark', () => {
  for (const order of interleavings(2, 1)) {
    const block = Doorbells.allocate()
    const memory = Ring.allocate(256)
    const writer = new RingWriter(memory)
    const reader = new RingReader(memory)
    const bell = new Doorbell(block, PRODUCER)
    const own = new Doorbell(block, CONSUMER)
    writer.tryPush(1, 1, MESSAGE, 1)
    writer.publish()
    bell.mark(CONSUMER)
    let seen = 0
    const read = (): void => own.take(() => reader.drain(10, () => seen++))
    const producer = [
      () => {
        writer.tryPush(1, 1, MESSAGE, 1)
        writer.publish()
      },
      () => bell.mark(CONSUMER),
    ]
    for (const producersTurn of order) (producersTurn ? producer.shift() : read)?.()
    read()
    assert.equal(seen, 2)
  }
})

test('doorbell: of many producers one is told to ring, once per sleep', () => {
  const block = Doorbells.allocate()
  const own = new Doorbell(block, 0)
  const producers = [1, 8, 40, THREADS_MAX - 1].map((self) => new Doorbell(block, self))
  for (let sleep = 0; sleep < 2; sleep++) {
    own.asleep()
    for (const producer of producers) producer.mark(0)
    assert.deepEqual(
      producers.map((producer) => producer.takeSleeper(0)),
      [true, false, false, false],
    )
  }
  const sources: number[] = []
  own.take((source) => sources.push(source))
  assert.deepEqual(
    sources.sort((a, b) => a - b),
    [1, 8, 40, THREADS_MAX - 1],
  )
  own.take(() => assert.fail('marks are taken once'))
})

test('doorbell: every thread can mark every other, and no two share a word or a bit', () => {
  const block = Doorbells.allocate()
  const bells = Array.from({ length: THREADS_MAX }, (_, self) => new Doorbell(block, self))
  for (const bell of bells) for (const other of bells) if (other !== bell) bell.mark(other.self)
  for (const bell of bells) {
    const sources = new Set<number>()
    bell.take((source) => sources.add(source))
    assert.equal(sources.size, THREADS_MAX - 1)
    assert.ok(!sources.has(bell.self))
    assert.equal(bell.takeSleeper((bell.self + 1) % THREADS_MAX), false)
  }
})

test('doorbell: a successor is awake, though its predecessor died asleep, and inherits the marks', () => {
  const block = Doorbells.allocate()
  const dead = new Doorbell(block, CONSUMER)
  const producer = new Doorbell(block, PRODUCER)
  dead.asleep()
  producer.mark(CONSUMER)
  const successor = new Doorbell(block, CONSUMER)
  assert.equal(producer.takeSleeper(CONSUMER), false)
  assert.equal(successor.hasMarks(), true)
})
