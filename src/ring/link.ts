// What joins two threads: four rings and a pair of ports. Main makes links, keeps the memory for the life of the
// process, and posts one end to each thread; fresh ends over the same memory join a successor.
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { assert } from '../lib/assert.ts'
import { Ring } from './ring.ts'

/** Replies and control have a ring of their own, so that two full data rings cannot deadlock. */
export type Lane = 'data' | 'control'

export type LanePair = Readonly<Record<Lane, SharedArrayBuffer>>

export type LaneCapacities = Readonly<Record<Lane, number>>

/** Both directions of one pair of threads. The lower thread index comes first. */
export interface LinkMemory {
  readonly low: number
  readonly high: number
  readonly toLow: LanePair
  readonly toHigh: LanePair
}

/** One thread's end. Post it with its port in the transfer list. */
export interface LinkEnd {
  readonly peer: number
  readonly out: LanePair
  readonly in: LanePair
  readonly port: MessagePort
}

/** Rings for both directions between two threads; capacities in bytes, powers of two. */
export function createLinkMemory(one: number, other: number, capacities: LaneCapacities): LinkMemory {
  assert(one !== other, 'a link joins two threads')
  return {
    low: Math.min(one, other),
    high: Math.max(one, other),
    toLow: allocateLanes(capacities),
    toHigh: allocateLanes(capacities),
  }
}

/**
 * Both ends of a link, with a new pair of ports: first the end for `low`, then the end for `high`. When a thread was
 * replaced, make new ends over the same memory and give each side its own: the successor reads what its predecessor left.
 */
export function createLinkEnds({ low, high, toLow, toHigh }: LinkMemory): { low: LinkEnd; high: LinkEnd } {
  const { port1, port2 } = new MessageChannel()
  return {
    low: { peer: high, out: toHigh, in: toLow, port: port1 },
    high: { peer: low, out: toLow, in: toHigh, port: port2 },
  }
}

function allocateLanes(capacities: LaneCapacities): LanePair {
  return { data: Ring.allocate(capacities.data), control: Ring.allocate(capacities.control) }
}
