// Main's book of the rings: it owns their memory for the life of the process, makes a pair's on first use, and joins a
// restarted thread to its peers again over the same memory.
import type { MessagePort } from 'node:worker_threads'
import { createLinkEnds, createLinkMemory, type LaneCapacities, type LinkEnd, type LinkMemory } from '../ring/link.ts'

export interface LinkedThread {
  link(end: LinkEnd, port: MessagePort): void
  unlink(peer: number): void
  /** The peer will not come back; its rings are given up. */
  forget(peer: number): void
}

export class LinkBook {
  readonly #capacities: LaneCapacities
  readonly #links = new Map<string, LinkMemory>()
  readonly #threads = new Map<number, LinkedThread>()

  constructor(capacities: LaneCapacities) {
    this.#capacities = capacities
  }

  /** A thread wants to send to another for the first time. The link is made when both are there. */
  want(from: number, to: number): void {
    const key = from < to ? `${from}-${to}` : `${to}-${from}`
    let memory = this.#links.get(key)
    if (memory === undefined) {
      memory = createLinkMemory(from, to, this.#capacities)
      this.#links.set(key, memory)
    } else if (this.#threads.has(from) && this.#threads.has(to)) {
      // Both asked at the same time: the first question was answered to both.
      return
    }
    this.#join(memory)
  }

  /** A thread started, the first time or again. */
  up(thread: number, linked: LinkedThread): void {
    this.#threads.set(thread, linked)
    for (const memory of this.#links.values()) if (memory.low === thread || memory.high === thread) this.#join(memory)
  }

  down(thread: number): void {
    this.#threads.delete(thread)
    for (const { low, high } of this.#links.values()) {
      if (low === thread) this.#threads.get(high)?.unlink(thread)
      else if (high === thread) this.#threads.get(low)?.unlink(thread)
    }
  }

  /** A thread ended and has no successor on this index: the memory of its rings is given up. */
  gone(thread: number): void {
    this.#threads.delete(thread)
    for (const [key, { low, high }] of this.#links) {
      if (low !== thread && high !== thread) continue
      this.#links.delete(key)
      this.#threads.get(low === thread ? high : low)?.forget(thread)
    }
  }

  #join(memory: LinkMemory): void {
    const low = this.#threads.get(memory.low)
    const high = this.#threads.get(memory.high)
    if (low === undefined || high === undefined) return
    const ends = createLinkEnds(memory)
    low.link(ends.low, ends.low.port)
    high.link(ends.high, ends.high.port)
  }
}
