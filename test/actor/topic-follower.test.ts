// A follower against the local bridge's own logs, by way of a connection that is slow, loses what is on its way, and goes
// away: it hands on each entry once and in order, or says that it is lost, and ends where the log does.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TopicFollower } from '../../src/actor/topic-follower.ts'
import type { Bridge, ChannelListener, ChannelSubscription, LogPosition } from '../../src/bridge/bridge.ts'
import { type BridgeCall, type CallOutcome, errorOfFailure, failed } from '../../src/bridge/bridge-engine.ts'
import { LocalEngine } from '../../src/bridge/local-engine.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'

const LOG = 'topic:a.b'
const KEPT = 5
const TTL_SECONDS = 600
/** Longer than every pause of a follower. */
const LONG_MS = 300_001
const ROUNDS_MAX = 100

type Step =
  | { readonly kind: 'append' | 'bring' | 'answer'; readonly count: number }
  | { readonly kind: 'cut' | 'down' | 'drop' | 'up' | 'lose' | 'flood' | 'move' | 'serve' }
  | { readonly kind: 'pass'; readonly ms: number }

interface Call {
  /** At the server; once. */
  readonly serve: () => Promise<void>
  readonly answer: () => void
}

/** The way to a bridge: what is under way waits until it is told to arrive. */
class SlowBridge {
  readonly timers = new ManualTimers({ startMs: 1_000 })
  readonly engine: LocalEngine
  /** What each epoch was appended. */
  readonly truth = new Map<number, string[]>()
  isDown = false
  #listener: ChannelListener | undefined
  readonly #messages: Buffer[] = []
  readonly #calls: Call[] = []
  #appended = 0

  constructor() {
    const { clock, wheel } = this.timers
    this.engine = new LocalEngine(
      { clock, wheel, memoryBytesMax: 1e6, readBytesMax: 20 },
      {
        onMessage: (_channel, payload) => this.#messages.push(Buffer.from(payload)),
        onGap: () => assert.fail('a local bridge has none'),
        onState: () => undefined,
      },
    )
  }

  get bridge(): Pick<Bridge, 'open' | 'read' | 'subscribe'> {
    return {
      open: (argument) => this.#call({ operation: 'open', argument }) as ReturnType<Bridge['open']>,
      read: (argument) => this.#call({ operation: 'read', argument }) as ReturnType<Bridge['read']>,
      subscribe: (channel, listener) => this.#subscribe(channel, listener),
    }
  }

  get isQuiet(): boolean {
    return this.#messages.length + this.#calls.length === 0
  }

  async append(): Promise<void> {
    const text = `${++this.#appended}`
    const argument = { log: LOG, payload: Buffer.from(text), countMax: KEPT, ttlSeconds: TTL_SECONDS }
    const outcome = await this.engine.run({ operation: 'append', argument })
    assert.ok(outcome.ok)
    const { epoch, offset } = outcome.value as LogPosition
    const entries = this.truth.get(epoch) ?? []
    entries[offset] = text
    this.truth.set(epoch, entries)
  }

  bring(): void {
    const message = this.#messages.shift()
    if (message !== undefined) this.#listener?.message(message, { life: 1, sequence: 0 })
  }

  /** The server has done all that is under way; the answers are on their way back. */
  async serve(): Promise<void> {
    for (const { serve } of this.#calls) await serve()
  }

  /** Against the contract of a bridge: nobody is told. */
  drop(): void {
    this.#messages.shift()
  }

  async answer(): Promise<void> {
    const call = this.#calls.shift()
    await call?.serve()
    call?.answer()
    // What hangs on the answer runs in microtasks.
    for (let index = 0; index < 5; index++) await Promise.resolve()
  }

  /** What was on its way is lost, and the listener is told. */
  cut(): void {
    this.#messages.length = 0
    this.#listener?.gap()
  }

  async lose(): Promise<void> {
    await this.engine.run({ operation: 'remove', argument: { key: LOG } })
  }

  #call(call: BridgeCall): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    let outcome: CallOutcome | undefined
    const serve = async (): Promise<void> => {
      outcome ??= this.isDown ? failed('BRIDGE_DOWN', 'away') : await this.engine.run(call)
    }
    const answer = (): void => {
      if (outcome?.ok === true) resolve(outcome.value)
      else if (outcome !== undefined) reject(errorOfFailure(outcome, call.operation))
    }
    this.#calls.push({ serve, answer })
    return promise
  }

  #subscribe(channel: string, listener: ChannelListener): ChannelSubscription {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const serve = async (): Promise<void> => {
      if (this.isDown) return
      this.#listener = listener
      await this.engine.subscribe(channel)
    }
    const answer = (): void => {
      if (this.#listener === listener) resolve()
      else reject(errorOfFailure(failed('BRIDGE_DOWN', 'away'), 'subscribe'))
    }
    this.#calls.push({ serve, answer })
    return {
      confirmed: promise,
      position: undefined,
      end: () => {
        if (this.#listener === listener) this.#listener = undefined
      },
    }
  }
}

class Trial {
  readonly slow = new SlowBridge()
  readonly #seen: LogPosition[] = []
  #place: LogPosition | undefined
  /** Something was lost that nobody was told of: only an audit can find it. */
  #isSecret = false
  #follower: TopicFollower

  constructor() {
    this.#follower = this.#follow(undefined)
  }

  async perform(step: Step): Promise<void> {
    const { slow } = this
    switch (step.kind) {
      case 'append':
        for (let index = 0; index < step.count; index++) await slow.append()
        return
      case 'bring':
        for (let index = 0; index < step.count; index++) slow.bring()
        return
      case 'answer':
        for (let index = 0; index < step.count; index++) await slow.answer()
        return
      case 'serve':
        await slow.serve()
        return
      case 'cut':
        slow.cut()
        return
      case 'drop':
        slow.drop()
        this.#isSecret = true
        return
      case 'down':
      case 'up':
        slow.isDown = step.kind === 'down'
        return
      case 'lose':
        await slow.lose()
        // Until somebody appends to it.
        this.#isSecret = true
        return
      case 'flood':
        for (let index = 0; index < 2 * KEPT; index++) await slow.append()
        return
      case 'move':
        this.#follower.close()
        this.#follower = this.#follow(this.#place)
        return
      case 'pass':
        slow.timers.run(step.ms)
    }
  }

  /** All arrives, and the follower has come to the end of the log. */
  async finish(): Promise<void> {
    const { slow } = this
    slow.isDown = false
    for (let round = 0; round < ROUNDS_MAX; round++) {
      if (round > 0 || this.#isSecret) slow.timers.run(round === 1 && this.#isSecret ? LONG_MS : 300)
      while (!slow.isQuiet) {
        slow.bring()
        await slow.answer()
      }
    }
    const outcome = await slow.engine.run({ operation: 'open', argument: { log: LOG, ttlSeconds: TTL_SECONDS } })
    assert.deepEqual(this.#place, outcome.ok && outcome.value)
    assert.ok(this.#follower.isLive)
    const kept = await this.#kept()
    const { epoch, offset } = this.#place as LogPosition
    assert.deepEqual(kept, this.slow.truth.get(epoch)?.slice(Math.max(1, offset - KEPT + 1)) ?? [])
    this.#follower.close()
  }

  /** What it says is kept. */
  async #kept(): Promise<string[] | undefined> {
    const kept: string[] = []
    const history = this.#follower.history((_offset, payload) => kept.push(payload.toString()))
    let isOver = false
    const done = history.then(() => {
      isOver = true
    })
    while (!isOver) {
      await this.slow.answer()
      await Promise.race([done, Promise.resolve()])
    }
    return (await history) ? kept : undefined
  }

  #follow(from: LogPosition | undefined): TopicFollower {
    const { bridge, timers } = this.slow
    return new TopicFollower(
      { bridge, wheel: timers.wheel, log: LOG, ttlSeconds: TTL_SECONDS, random: Math.random, from },
      {
        began: (position) => {
          assert.ok(this.#seen.every(({ epoch }) => epoch < position.epoch))
          this.#seen.push(position)
          this.#place = position
        },
        entry: (offset, payload) => {
          const { epoch, offset: before } = this.#place ?? assert.fail('it has begun')
          assert.equal(offset, before + 1)
          assert.equal(payload.toString(), this.slow.truth.get(epoch)?.[offset])
          this.#place = { epoch, offset }
        },
        lost: (to) => {
          const { epoch, offset } = this.#place ?? assert.fail('it has begun')
          const last = (this.slow.truth.get(epoch)?.length ?? 0) - 1
          assert.ok(to > offset && to <= last - KEPT, `${offset} to ${to} of ${last}`)
          this.#place = { epoch, offset: to }
        },
        failed: (error) => assert.ok(error instanceof PolyloopError && error.code === 'BRIDGE_DOWN'),
      },
    )
  }
}

const some = fc.integer({ min: 1, max: 4 })
const step = (kind: Step['kind'], rest: object = {}): fc.Arbitrary<Step> =>
  fc.record({ kind: fc.constant(kind), ...rest }) as fc.Arbitrary<Step>
const told: fc.MaybeWeightedArbitrary<Step>[] = [
  { weight: 8, arbitrary: step('append', { count: some }) },
  { weight: 8, arbitrary: step('bring', { count: some }) },
  { weight: 8, arbitrary: step('answer', { count: some }) },
  { weight: 4, arbitrary: step('serve') },
  { weight: 3, arbitrary: step('pass', { ms: fc.constantFrom(10, 300, 5_000, LONG_MS) }) },
  { weight: 2, arbitrary: step('cut') },
  { weight: 1, arbitrary: step('down') },
  { weight: 2, arbitrary: step('up') },
  { weight: 1, arbitrary: step('flood') },
  { weight: 1, arbitrary: step('move') },
]
const secret: fc.MaybeWeightedArbitrary<Step>[] = [
  ...told,
  { weight: 1, arbitrary: step('drop') },
  { weight: 1, arbitrary: step('lose') },
]
const RUNS = Number(process.env.TOPIC_FUZZ_RUNS ?? 1_000)

for (const [what, kinds] of [
  ['as long as gaps are told', told],
  ['also when they are not, or the log is lost', secret],
] as const) {
  test(`topic follower: each entry comes once and in order, or is told as lost: ${what}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(...kinds), { minLength: 5, maxLength: 40, size: 'max' }), async (steps) => {
        const trial = new Trial()
        for (const one of steps) await trial.perform(one)
        await trial.finish()
      }),
      { numRuns: RUNS },
    )
  })
}

test('topic follower: many of them wait longer and longer for a bridge that is away, each for itself, and ask at once when it is back', async () => {
  const FOLLOWERS = 200
  const SECONDS = 60
  const timers = new ManualTimers({ startMs: 1_000 })
  const { clock, wheel } = timers
  const [askedMs, listeners]: [number[], ChannelListener[]] = [[], []]
  let isDown = true
  let begun = 0
  // What a bridge answers at once, without a server.
  const bridge: Pick<Bridge, 'open' | 'read' | 'subscribe'> = {
    open: () => {
      askedMs.push(clock.nowMs())
      const away = errorOfFailure(failed('BRIDGE_DOWN', 'away'), 'open')
      return isDown ? Promise.reject(away) : Promise.resolve({ epoch: 7, offset: 0 })
    },
    read: () => assert.fail('there is nothing to read'),
    subscribe: (_channel, listener) => {
      listeners.push(listener)
      return { confirmed: Promise.resolve(), end: () => undefined } as unknown as ChannelSubscription
    },
  }
  const none = (): never => assert.fail('there are no entries')
  const events = { entry: none, lost: none, failed: () => undefined, began: () => void begun++ }
  const followers = Array.from({ length: FOLLOWERS }, (_, index) => {
    const random = seededRandom(index)
    return new TopicFollower({ bridge, wheel, log: `topic:a.${index}`, ttlSeconds: TTL_SECONDS, random }, events)
  })
  await settled()
  for (let ms = 0; ms < SECONDS * 1_000; ms += 50) {
    timers.run(50)
    await settled()
  }
  // From a quarter of a second to ten: about 5 attempts, and then one in 7.5 s.
  const each = askedMs.length / FOLLOWERS
  assert.ok(each > 8 && each < 20, `${each} attempts of each`)
  const last = askedMs.filter((ms) => ms > clock.nowMs() - 20_000)
  const atOnce = Math.max(...last.map((ms) => last.filter((other) => Math.abs(other - ms) < 100).length))
  assert.ok(atOnce < FOLLOWERS / 10, `${atOnce} of ${FOLLOWERS} within 100 ms`)

  isDown = false
  askedMs.length = 0
  for (const listener of listeners) listener.gap()
  await settled()
  assert.deepEqual([askedMs.length, begun, followers.every(({ isLive }) => isLive)], [FOLLOWERS, FOLLOWERS, true])
  // Nothing of the pauses is left.
  timers.run(60_000)
  await settled()
  assert.equal(askedMs.length, FOLLOWERS)
  for (const follower of followers) follower.close()
})

/** What hangs on answers runs in microtasks. */
async function settled(): Promise<void> {
  for (let index = 0; index < 10; index++) await Promise.resolve()
}

function seededRandom(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
