// Where each channel's reader stands: epoch and offset of the last event that was delivered. With it a new connection
// goes on exactly behind it, and what comes twice is recognised.
import type { HubEvent } from './frame.ts'

export interface Position {
  readonly epoch: string
  readonly offset: number
}

const CHANNELS_MAX = 1000

export class PositionTable {
  readonly #positions = new Map<string, Position>()

  /** False: it was delivered before. Events without a place are always new. */
  advance({ channel, epoch, offset }: HubEvent): boolean {
    if (typeof epoch !== 'string' || typeof offset !== 'number') return true
    const last = this.#positions.get(channel)
    if (last !== undefined && last.epoch === epoch && offset <= last.offset) return false
    if (last !== undefined || this.#positions.size < CHANNELS_MAX) this.#positions.set(channel, { epoch, offset })
    return true
  }

  /** A binary frame has a place too, but does not say it: the next one of its channel. */
  step(channel: unknown): void {
    if (typeof channel !== 'string') return
    const last = this.#positions.get(channel)
    if (last !== undefined) this.#positions.set(channel, { epoch: last.epoch, offset: last.offset + 1 })
  }

  has(channel: string): boolean {
    return this.#positions.has(channel)
  }

  /** Of those channels that have one. */
  of(channels: Iterable<string>): Readonly<Record<string, Position>> {
    const found: Record<string, Position> = {}
    for (const channel of channels) {
      const position = this.#positions.get(channel)
      if (position !== undefined) found[channel] = position
    }
    return found
  }

  forget(channel: string): void {
    this.#positions.delete(channel)
  }

  clear(): void {
    this.#positions.clear()
  }
}
