// A kind of actor as one shard runs it: the definition's handlers by number, and their figures.
import type { MessageResult } from '../observe/family.ts'
import type { Cell } from '../observe/metrics.ts'
import type { ActorDefinition, Handler } from './definition.ts'
import { methodNumber } from './record.ts'

/** One synchronous call in so many is timed: two clock readings cost as much as a small handler. */
export const TIMED_EVERY = 8

export interface HandlerEntry {
  readonly method: string
  readonly run: Handler<unknown>
  calls: number
  timed: number
  timedMs: number
  maxMs: number
}

export interface ActorKind {
  readonly name: string
  readonly definition: ActorDefinition
  readonly idleAfterMs: number
  readonly handlers: ReadonlyMap<number, HandlerEntry>
  readonly messages: Readonly<Record<MessageResult, Cell>>
  active: number
}

export function createKind(
  definition: ActorDefinition,
  idleAfterMs: number,
  messages: Readonly<Record<MessageResult, Cell>>,
): ActorKind {
  const handlers = new Map<number, HandlerEntry>()
  for (const [method, run] of Object.entries(definition.on)) {
    handlers.set(methodNumber(method), { method, run, calls: 0, timed: 0, timedMs: 0, maxMs: 0 })
  }
  return {
    name: definition.kind,
    definition,
    idleAfterMs: definition.idleAfterMs ?? idleAfterMs,
    handlers,
    messages,
    active: 0,
  }
}
