// The time one packet may take from its first byte to its last. One timer a connection, armed when a packet is in
// pieces and left alone when it is complete: whole packets cost nothing, and pieces a comparison.
import type { EdgeContext } from './edge.ts'
import type { PacketScanner } from './packet-scanner.ts'

/** Whose packets they are. */
export interface Awaited {
  /** It is not being read from: its peer cannot be late. */
  readonly paused: boolean
  late(): void
}

export class PacketDeadline {
  readonly #context: EdgeContext
  readonly #scanner: PacketScanner
  readonly #awaited: Awaited
  /** The packet the time runs for, as the scanner counts them. */
  #begun = 0
  #sinceMs = 0
  #cancel: (() => void) | undefined

  /** `elapsedMs`: time gone by for the packet that the scanner is in already. */
  constructor(context: EdgeContext, scanner: PacketScanner, awaited: Awaited, elapsedMs = 0) {
    this.#context = context
    this.#scanner = scanner
    this.#awaited = awaited
    this.look(elapsedMs)
  }

  /** Bytes were scanned. */
  look(elapsedMs = 0): void {
    const { begun, unfinished } = this.#scanner
    if (!unfinished || begun === this.#begun) return
    this.#begun = begun
    this.#sinceMs = this.#context.clock.nowMs() - elapsedMs
    if (this.#cancel === undefined) this.#arm(this.#context.config.packetTimeout - elapsedMs)
  }

  /** Nobody has read for a while: its time begins anew. */
  renew(): void {
    this.#sinceMs = this.#context.clock.nowMs()
  }

  /** Time gone by for the packet that the scanner is in; 0 if it is in none. */
  get elapsedMs(): number {
    return this.#scanner.unfinished ? this.#context.clock.nowMs() - this.#sinceMs : 0
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #arm(ms: number): void {
    this.#cancel = this.#context.after(Math.max(1, ms), () => this.#fired())
  }

  #fired(): void {
    this.#cancel = undefined
    if (!this.#scanner.unfinished) return
    if (this.#awaited.paused) this.renew()
    const leftMs = this.#context.config.packetTimeout - this.elapsedMs
    if (leftMs > 0) this.#arm(leftMs)
    else this.#awaited.late()
  }
}
