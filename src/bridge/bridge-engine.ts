// What does the calls of a bridge, in the bridge's thread, and brings what channels say. Knows nothing of threads and
// records; who listens on a host is the host's business (bridge-host.ts).
import { type ErrorCode, PolyloopError } from '../lib/errors.ts'
import type { BridgeOperation, BridgeOperations } from './bridge.ts'

export type ArgumentOf<Name extends BridgeOperation> = Parameters<BridgeOperations[Name]>[0]

/** One operation and what it takes. */
export type BridgeCall = {
  readonly [Name in BridgeOperation]: { readonly operation: Name; readonly argument: ArgumentOf<Name> }
}[BridgeOperation]

export type BridgeErrorCode = Extract<ErrorCode, `BRIDGE_${string}`>

export interface BridgeFailure {
  readonly ok: false
  readonly code: BridgeErrorCode
  /** Why, for people: the server's words, mostly. */
  readonly problem: string
}

export type CallOutcome = { readonly ok: true; readonly value: unknown } | BridgeFailure

/** What an engine tells whoever made it. None of these may throw. */
export interface BridgeEvents {
  /** A message of a channel that is subscribed; the engine does not touch `payload` again. */
  onMessage(channel: string, payload: Buffer): void
  /** Messages of these channels may be missing here. They are subscribed again. */
  onGap(channels: readonly string[]): void
  /** The server was reached, or is away: then `problem` says why. Each time it changes, and once before the first. */
  onState(isUp: boolean, problem: string): void
}

/** Figures of an engine as they are now. */
export interface EngineFigures {
  readonly isUp: boolean
  /** Why it is not up; empty while it is. */
  readonly problem: string
  readonly reconnects: number
  /** Of the last round trip; 0 before the first. */
  readonly roundTripMs: number
  /** Calls that are not answered, and their bytes. */
  readonly outboxCalls: number
  readonly outboxBytes: number
}

export interface BridgeEngine {
  readonly figures: EngineFigures
  /**
   * Does a call; many at a time. Those of one channel, key or log are done in the order of the calls. Never throws or
   * rejects, and ends in bounded time.
   */
  run(call: BridgeCall): Promise<CallOutcome>
  /**
   * Settles when nothing published from now on is missed; rejects with a PolyloopError, and then it is not subscribed.
   * From then on it stays subscribed over every outage until `unsubscribe`. Not to be called for a channel that is
   * subscribed, or about to be.
   */
  subscribe(channel: string): Promise<void>
  /** Only for a channel whose `subscribe` has settled. */
  unsubscribe(channel: string): void
  /** Ends all calls that are open. Nothing may be called afterwards. */
  close(): Promise<void>
}

export type EngineFactory = (events: BridgeEvents) => BridgeEngine

export function done(value: unknown): CallOutcome {
  return { ok: true, value }
}

export function failed(code: BridgeErrorCode, problem: string): BridgeFailure {
  return { ok: false, code, problem }
}

/** A failure as the caller of `subscribe` hears it. */
export function errorOfFailure({ code, problem }: BridgeFailure, operation: string): PolyloopError {
  return new PolyloopError(code, { operation, problem })
}

/** A thrown value as a failure. */
export function failureOf(error: unknown): BridgeFailure {
  if (error instanceof PolyloopError && error.code.startsWith('BRIDGE_')) {
    return failed(error.code as BridgeErrorCode, String(error.details.problem))
  }
  return failed('BRIDGE_REFUSED', error instanceof Error ? error.message : String(error))
}
