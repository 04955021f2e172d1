// Numbered messages over many channels of a bridge, and the proof that none came twice or out of order, that gaps were
// told, and that after a fault nothing is deaf.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Bridge } from '../../src/bridge/bridge.ts'
import { type ErrorCode, PolyloopError } from '../../src/lib/errors.ts'
import { waitUntil } from '../harness/wait.ts'
import { Ear, GAP } from './bridge-fixture.ts'

const PROOFS = 20

export class Traffic implements AsyncDisposable {
  readonly channels: readonly string[]
  readonly ears: readonly Ear[]
  /** Ends of publishes: `ok`, or codes. */
  readonly outcomes = new Map<ErrorCode | 'ok', number>()
  /** The longest that any publish took to end. */
  slowestMs = 0
  readonly #bridge: Bridge
  readonly #payload: string
  /** Numbers by channel. */
  readonly #answered: readonly number[][]
  #number = 0
  #isRunning = false
  #loop: Promise<void> | undefined

  constructor(bridge: Bridge, channels: number, payloadBytes = 0) {
    this.#bridge = bridge
    const prefix = randomUUID()
    this.channels = Array.from({ length: channels }, (_, index) => `${prefix}:${index}`)
    this.ears = this.channels.map(() => new Ear())
    this.#answered = this.channels.map(() => [])
    this.#payload = 'x'.repeat(payloadBytes)
  }

  async open(): Promise<this> {
    const confirmed = this.channels.map((channel, index) => this.#bridge.subscribe(channel, this.#ear(index)).confirmed)
    await Promise.all(confirmed)
    return this
  }

  start(): this {
    this.#isRunning = true
    this.#loop = this.#run()
    return this
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    await this.#loop
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** One message to each channel. Answers how many of them were answered. */
  async round(): Promise<number> {
    const number = ++this.#number
    const ended = await Promise.all(this.channels.map((channel, index) => this.#publish(channel, index, number)))
    return ended.filter((isOk) => isOk).length
  }

  /** Some more messages come. */
  async flows(): Promise<void> {
    const wanted = (this.ears[0]?.heard.length ?? 0) + 5
    await waitUntil('messages come', () => (this.ears[0]?.heard.length ?? 0) >= wanted)
  }

  /** Messages that are published now are all answered, and all come, in order. */
  async proveAlive(deadlineMs?: number): Promise<void> {
    await waitUntil(
      'a round of messages is answered',
      async () => (await this.round()) === this.ears.length,
      deadlineMs,
    )
    const first = this.#number
    for (let count = 0; count < PROOFS; count++) assert.equal(await this.round(), this.ears.length)
    const numbers = Array.from({ length: PROOFS + 1 }, (_, index) => String(first + index))
    for (const ear of this.ears) {
      await ear.hears(String(this.#number), deadlineMs)
      assert.deepEqual(ear.heard.slice(-numbers.length), numbers)
    }
    this.assertOrder()
  }

  /** Nothing came twice, or too late. */
  assertOrder(): void {
    for (const { heard } of this.ears) {
      let last = 0
      for (const text of heard) {
        if (text === GAP) continue
        assert.ok(Number(text) > last, `${text} after ${last}`)
        last = Number(text)
      }
    }
  }

  /** What is missing is told: a message that was answered has come, or its place is behind a gap. */
  assertGapsTold(): void {
    for (const [index, { heard }] of this.ears.entries()) {
      let last = 0
      let isGap = false
      for (const text of heard) {
        if (text === GAP) {
          isGap = true
          continue
        }
        const missing: readonly number[] = isGap
          ? []
          : (this.#answered[index] ?? []).filter((one) => one > last && one < Number(text))
        assert.deepEqual(missing, [], `${missing} are missing between ${last} and ${text}, and no gap was told`)
        last = Number(text)
        isGap = false
      }
    }
  }

  /** Begins a new page: what was heard so far is not looked at again. */
  forget(): void {
    for (const ear of this.ears) ear.forget(() => true)
    for (const answered of this.#answered) answered.length = 0
  }

  async gapsEverywhere(deadlineMs?: number): Promise<void> {
    const all = (): boolean => this.ears.every(({ heard }) => heard.includes(GAP))
    await waitUntil('every channel hears of a gap', all, deadlineMs)
  }

  get gaps(): number {
    return this.ears.reduce((sum, { heard }) => sum + heard.filter((text) => text === GAP).length, 0)
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      await this.round()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async #publish(channel: string, index: number, number: number): Promise<boolean> {
    const startMs = performance.now()
    const payload = Buffer.from(`${number}${this.#payload && ` ${this.#payload}`}`)
    const outcome = await this.#bridge.publish({ channel, payload }).then(
      () => 'ok' as const,
      (error: unknown) => {
        assert.ok(error instanceof PolyloopError, String(error))
        return error.code
      },
    )
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs)
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
    if (outcome === 'ok') this.#answered[index]?.push(number)
    return outcome === 'ok'
  }

  #ear(index: number): Ear {
    const ear = this.ears[index] as Ear
    if (this.#payload === '') return ear
    const whole = ` ${this.#payload}`
    // Half a payload is a fault of ours.
    const message: Ear['message'] = (payload, position) => {
      const text = payload.toString()
      assert.ok(text.endsWith(whole) && payload.length === text.length, `${payload.length} bytes`)
      ear.message(Buffer.from(text.slice(0, -whole.length)), position)
    }
    return Object.assign(Object.create(Ear.prototype) as Ear, { message, gap: () => ear.gap() })
  }
}
