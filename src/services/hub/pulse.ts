// The heartbeat of one connection: JSON pings for those who only listen, protocol pings for those who measure, and how long
// their pongs take. [PROTOCOLS 4.6]
import type { Clock } from '../../lib/clock.ts'
import type { Connection } from '../../net/connection.ts'
import type { HistogramCell } from '../../observe/metrics.ts'
import { type FrozenHeartbeat, Heartbeat, type HeartbeatOptions } from '../heartbeat.ts'

export interface PulseOptions extends HeartbeatOptions {
  /** Sends the JSON ping. */
  readonly tell: () => void
  readonly latency: HistogramCell
}

export class Pulse {
  readonly #clock: Clock
  readonly #latency: HistogramCell
  readonly #heartbeat: Heartbeat
  /** When the last ping left; 0: it was answered. */
  #pingMs = 0

  constructor(options: PulseOptions, connection: Connection<never>, frozen?: FrozenHeartbeat) {
    this.#clock = options.clock
    this.#latency = options.latency
    const pulse = {
      get paused(): boolean {
        return connection.paused
      },
      get receivedMs(): number {
        return connection.patience.receivedMs
      },
      ping: () => {
        options.tell()
        this.#pingMs = this.#clock.nowMs()
        connection.ping()
      },
      dead: () => connection.closeIdle(),
    }
    this.#heartbeat = new Heartbeat(options, pulse, frozen)
  }

  ponged(): void {
    if (this.#pingMs === 0) return
    this.#latency.observe((this.#clock.nowMs() - this.#pingMs) / 1_000)
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
}
