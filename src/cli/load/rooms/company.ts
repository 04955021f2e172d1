// What the members of a room, or the subscribers of a channel, in one thread share: the order they hear messages in, when those were due, and how long they took.
import type { Clock } from '../../../lib/clock.ts'
import type { Audience } from '../audience.ts'
import { LatencyHistogram } from '../histogram.ts'
import type { MessagePattern } from '../message.ts'
import type { LoadPlan } from '../plan.ts'
import type { Tally } from '../tally.ts'
import { RoomOrder } from './order.ts'
import { SendTimes } from './send-times.ts'

export interface CompanyOptions {
  readonly plan: LoadPlan
  /** Messages are files, not texts. */
  readonly files: boolean
  readonly sendTimes: SharedArrayBuffer
  readonly pattern: MessagePattern
  readonly audience: Audience
  readonly clock: Clock
}

export class RoomCompany {
  readonly pattern: MessagePattern
  readonly audience: Audience
  readonly order = new RoomOrder()
  readonly senders: number
  readonly sizeBytes: number
  readonly files: boolean
  readonly timeoutMs: number
  /** From when a message was due until a member had it; of those that arrived in the measured time. */
  readonly latency = new LatencyHistogram()
  /** Messages that arrived in the measured time, at each member of this thread. */
  measured = 0
  readonly #times: SendTimes
  readonly #clock: Clock
  readonly #seed: number
  #measureMs = Infinity
  #endMs = Infinity

  constructor({ plan, files, sendTimes, pattern, audience, clock }: CompanyOptions) {
    this.pattern = pattern
    this.audience = audience
    this.senders = plan.connections
    this.sizeBytes = plan.sizeBytes
    this.files = files
    this.timeoutMs = plan.timeoutMs
    this.#times = new SendTimes(sendTimes)
    this.#clock = clock
    this.#seed = plan.seed
  }

  get errors(): Tally {
    return this.audience.errors
  }

  /** Two runs with different seeds can be in one room. */
  nameOf(member: number): string {
    return `load_${this.#seed.toString(36)}_${member}`
  }

  measure(measureMs: number, endMs: number): void {
    this.#measureMs = measureMs
    this.#endMs = endMs
  }

  sent(sender: number, sequence: number, dueMs: number): void {
    this.#times.set(sender, sequence, dueMs)
  }

  delivered(sender: number, sequence: number): void {
    this.audience.pushed()
    const nowMs = this.#clock.nowMs()
    if (nowMs < this.#measureMs || nowMs >= this.#endMs) return
    this.measured++
    const dueMs = this.#times.get(sender, sequence)
    if (!Number.isNaN(dueMs)) this.latency.recordMs(nowMs - dueMs)
  }
}
