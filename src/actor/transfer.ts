// An actor on its way to another shard, as data.
import { deserialize, serialize } from 'node:v8'
import type { TimerWheel } from '../timer/wheel.ts'
import type { Activation, Message } from './activation.ts'
import type { ActorKind } from './kind.ts'

/** What the old owner of slots tells the new one about their actors, on the port of the move. */
export type ActorMoveMessage =
  /** Everything but these has left, or is behind this. What comes for them waits for them. */
  | { readonly kind: 'released'; readonly awaited: readonly string[] }
  /** It handles nothing before its gate opens. */
  | { readonly kind: 'actor'; readonly frozen: FrozenActor; readonly gate: number }
  /** An awaited actor that does not come: it was passivated, its handler took too long, or its state cannot travel. */
  | { readonly kind: 'lost'; readonly key: string }

export interface FrozenActor {
  readonly kind: string
  readonly id: string
  /** A structured clone of `Contents`, made where a failure can be put down to the actor. */
  readonly contents: Uint8Array
}

export interface FrozenTimer {
  readonly name: string
  readonly method: string
  readonly argument: unknown
  readonly everyMs: number
  readonly remainingMs: number
}

export interface Contents {
  readonly status: 'idle' | 'backoff' | 'failed'
  readonly state: unknown
  readonly mailbox: readonly Message[]
  readonly timers: readonly FrozenTimer[]
  readonly failuresMs: readonly number[]
  /** Of the pause or the cool-down. */
  readonly pauseMs: number
}

/** Throws what the actor's `freeze` throws, and a DataCloneError on a state that cannot travel. */
export function freezeActor(activation: Activation, wheel: TimerWheel): FrozenActor {
  const { kind, address, status } = activation
  const { freeze } = kind.definition
  const timers: FrozenTimer[] = []
  for (const [name, { method, argument, everyMs, handle }] of activation.timers ?? []) {
    timers.push({ name, method, argument, everyMs, remainingMs: wheel.remainingMs(handle) ?? 0 })
  }
  const contents: Contents = {
    status: status === 'backoff' || status === 'failed' ? status : 'idle',
    state: freeze === undefined || status !== 'idle' ? activation.state : freeze(activation.state),
    mailbox: activation.takeAll(),
    timers,
    failuresMs: activation.failuresMs,
    pauseMs: activation.pauseTimer === undefined ? 0 : (wheel.remainingMs(activation.pauseTimer) ?? 0),
  }
  try {
    return { kind: kind.name, id: address.id, contents: serialize(contents) }
  } catch (error) {
    // Who asked is still to be answered.
    for (const message of contents.mailbox) activation.push(message)
    throw error
  }
}

/** Throws what the kind's `thaw` throws. */
export function thawActor(frozen: FrozenActor, kind: ActorKind): Contents {
  const contents = deserialize(frozen.contents) as Contents
  const { thaw } = kind.definition
  if (thaw === undefined || contents.status !== 'idle') return contents
  return { ...contents, state: thaw(contents.state as never, frozen.id) }
}

/** What waits for an actor that could not be thawed. */
export function mailboxOf(frozen: FrozenActor): readonly Message[] {
  return (deserialize(frozen.contents) as Contents).mailbox
}
