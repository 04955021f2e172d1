// The heartbeat of one connection: JSON pings for those who only listen, protocol pings for those who measure, and how long
// their pongs take. One object per connection, with no closures of its own: there may be very many. [PROTOCOLS 4.6]
import type { Connection } from '../../net/connection.ts'
import type { HistogramCell } from '../../observe/metrics.ts'
import { type Pulse as Beating, type FrozenHeartbeat, Heartbeat, type HeartbeatOptions } from '../heartbeat.ts'

/** Shared by all connections of a shard. */
export interface PulseRules extends HeartbeatOptions {
  readonly latency: HistogramCell
}

export interface Pulsing {
  readonly connection: Pick<Connection, 'paused' | 'patience' | 'ping' | 'closeIdle'>
  /** Sends the JSON ping. */
  sendPing(): void
}

export class Pulse implements Beating {
  readonly #rules: PulseRules
  readonly #owner: Pulsing
  readonly #heartbeat: Heartbeat
  /** When the last ping left; 0: it was answered. */
  #pingMs = 0

  constructor(rules: PulseRules, owner: Pulsing, frozen?: FrozenHeartbeat) {
    this.#rules = rules
    this.#owner = owner
    this.#heartbeat = new Heartbeat(rules, this, frozen)
  }

  ponged(): void {
    if (this.#pingMs === 0) return
    this.#rules.latency.observe((this.#rules.clock.nowMs() - this.#pingMs) / 1_000)
    this.#pingMs = 0
  }

  /** It is read from again. */
  goOn(): void {
    this.#heartbeat.goOn()
  }

  freeze(): FrozenHeartbeat {
    return this.#heartbeat.freeze()
  }

  stop(): void {
    this.#heartbeat.stop()
  }

  // ---- what the heartbeat asks ------------------------------------------------------------------------------------

  get paused(): boolean {
    return this.#owner.connection.paused
  }

  get receivedMs(): number {
    return this.#owner.connection.patience.receivedMs
  }

  ping(): void {
    this.#owner.sendPing()
    this.#pingMs = this.#rules.clock.nowMs()
    this.#owner.connection.ping()
  }

  dead(): void {
    this.#owner.connection.closeIdle()
  }
}
