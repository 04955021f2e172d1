// The bridge of a host that is alone: channels, keys and logs in the memory of the bridge's thread. They are as durable
// as that thread.
import type { Clock } from '../lib/clock.ts'
import { DELAY_MS_MAX, NO_TIMER, type TimerHandle, type TimerWheel } from '../timer/wheel.ts'
import { LOG_READ_MAX, type LogEntry, type LogPosition } from './bridge.ts'
import {
  type ArgumentOf,
  type BridgeCall,
  type BridgeEngine,
  type BridgeEvents,
  type CallOutcome,
  done,
  type EngineFigures,
  errorOfFailure,
  failed,
} from './bridge-engine.ts'
import { nameProblem, problemOf } from './bridge-rule.ts'
import { encodeLogEntry } from './log-entry.ts'

export interface LocalEngineOptions {
  readonly clock: Clock
  readonly wheel: TimerWheel
  /** Keys and logs together, their names included; what would exceed it is refused. */
  readonly memoryBytesMax: number
  /** Payloads of one answer of `read`. */
  readonly readBytesMax: number
}

/** Charged for each key and each entry of a log beside its bytes: about what V8 needs for it. */
const ENTRY_BYTES = 200
const MS_PER_SECOND = 1_000

interface Log {
  readonly epoch: number
  /** Of the last entry there was. */
  offset: number
  /** Oldest first. */
  readonly entries: LogEntry[]
}

/** What a name stands for. */
interface Kept {
  readonly name: string
  value: Uint8Array | Log
  bytes: number
  /** Infinity: for ever. */
  endMs: number
  timer: TimerHandle
}

export class LocalEngine implements BridgeEngine {
  readonly figures: EngineFigures = {
    isUp: true,
    problem: '',
    reconnects: 0,
    roundTripMs: 0,
    outboxCalls: 0,
    outboxBytes: 0,
  }
  readonly #options: LocalEngineOptions
  readonly #events: BridgeEvents
  readonly #channels = new Set<string>()
  readonly #kept = new Map<string, Kept>()
  #bytes = 0
  #epoch = 0

  constructor(options: LocalEngineOptions, events: BridgeEvents) {
    this.#options = options
    this.#events = events
    events.onState(true, '')
  }

  run(call: BridgeCall): Promise<CallOutcome> {
    const problem = problemOf(call)
    return Promise.resolve(problem === undefined ? this.#perform(call) : failed('BRIDGE_REFUSED', problem))
  }

  subscribe(channel: string): Promise<void> {
    const problem = nameProblem(channel)
    if (problem !== undefined) return Promise.reject(errorOfFailure(failed('BRIDGE_REFUSED', problem), 'subscribe'))
    this.#channels.add(channel)
    return Promise.resolve()
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel)
  }

  close(): Promise<void> {
    for (const { timer } of this.#kept.values()) this.#options.wheel.cancel(timer)
    this.#kept.clear()
    this.#channels.clear()
    return Promise.resolve()
  }

  #perform(call: BridgeCall): CallOutcome {
    switch (call.operation) {
      case 'publish':
        return done(this.#publish(call.argument.channel, call.argument.payload))
      case 'get':
        return this.#get(call.argument.key)
      case 'set':
        return this.#set(call.argument)
      case 'expire':
        return done(this.#expire(call.argument))
      case 'take':
        return this.#take(call.argument.key)
      case 'remove':
        return done(this.#drop(this.#find(call.argument.key)))
      case 'append':
        return this.#append(call.argument)
      case 'read':
        return this.#read(call.argument)
      case 'open':
        return this.#open(call.argument)
      case 'script':
        return failed('BRIDGE_REFUSED', 'a local bridge runs no scripts')
      case 'ping':
        return done({ ms: 0 })
    }
  }

  #publish(channel: string, payload: Uint8Array): number {
    if (!this.#channels.has(channel)) return 0
    this.#events.onMessage(channel, Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength))
    return 1
  }

  #get(key: string): CallOutcome {
    const value = this.#find(key)?.value
    return value === undefined || value instanceof Uint8Array ? done(value && Buffer.from(value)) : wrongKind(key)
  }

  #set({ key, value, ttlSeconds }: ArgumentOf<'set'>): CallOutcome {
    const known = this.#find(key)
    const bytes = key.length + value.length + ENTRY_BYTES
    if (!this.#hasRoom(bytes - (known?.bytes ?? 0))) return this.#full()
    this.#drop(known)
    this.#keep(key, Buffer.from(value), bytes, ttlSeconds ?? undefined)
    return done(undefined)
  }

  #expire({ key, ttlSeconds }: ArgumentOf<'expire'>): boolean {
    const kept = this.#find(key)
    if (kept !== undefined) this.#limit(kept, ttlSeconds)
    return kept !== undefined
  }

  #take(key: string): CallOutcome {
    const outcome = this.#get(key)
    if (outcome.ok) this.#drop(this.#find(key))
    return outcome
  }

  #append({ log: name, payload, countMax, ttlSeconds, after }: ArgumentOf<'append'>): CallOutcome {
    const known = this.#findWhole(name, after)
    const value = known?.value ?? this.#newLog()
    if (value instanceof Uint8Array) return wrongKind(name)
    const bytes = payload.length + ENTRY_BYTES
    if (!this.#hasRoom(bytes)) return this.#full()
    const kept = known ?? this.#keep(name, value, name.length + ENTRY_BYTES, ttlSeconds)
    const { epoch, entries } = value
    const offset = ++value.offset
    entries.push({ offset, payload: Buffer.from(payload) })
    this.#charge(kept, bytes)
    for (const { payload: gone } of entries.splice(0, Math.max(0, entries.length - countMax))) {
      this.#charge(kept, -(gone.length + ENTRY_BYTES))
    }
    this.#limit(kept, ttlSeconds)
    this.#publish(name, encodeLogEntry(epoch, offset, payload))
    return done({ epoch, offset })
  }

  #read({ log, offset, count }: ArgumentOf<'read'>): CallOutcome {
    const value = this.#find(log)?.value
    if (value === undefined) return done({ epoch: 0, offset: 0, first: 0, entries: [] })
    if (value instanceof Uint8Array) return wrongKind(log)
    const first = value.entries[0]?.offset ?? value.offset + 1
    const start = Math.max(0, offset + 1 - first)
    const entries: LogEntry[] = []
    let bytes = 0
    for (const entry of value.entries.slice(start, start + Math.min(count, LOG_READ_MAX))) {
      bytes += entry.payload.length + ENTRY_BYTES
      if (entries.length > 0 && bytes > this.#options.readBytesMax) break
      entries.push(entry)
    }
    return done({ epoch: value.epoch, offset: value.offset, first, entries })
  }

  #open({ log: name, ttlSeconds, after }: ArgumentOf<'open'>): CallOutcome {
    const known = this.#findWhole(name, after)
    const value = known?.value ?? this.#newLog()
    if (value instanceof Uint8Array) return wrongKind(name)
    const bytes = name.length + ENTRY_BYTES
    if (known === undefined && !this.#hasRoom(bytes)) return this.#full()
    const kept = known ?? this.#keep(name, value, bytes, ttlSeconds)
    const endMs = this.#options.clock.nowMs() + ttlSeconds * MS_PER_SECOND
    if (kept.endMs < endMs) this.#limit(kept, ttlSeconds)
    return done({ epoch: value.epoch, offset: value.offset })
  }

  #newLog(): Log {
    return { epoch: this.#newEpoch(), offset: 0, entries: [] }
  }

  /** Microseconds since 1970, so that no later epoch repeats one, whatever thread it was of. */
  #newEpoch(): number {
    this.#epoch = Math.max(this.#epoch + 1, Math.floor(this.#options.clock.wallMs() * 1_000))
    return this.#epoch
  }

  #find(name: string): Kept | undefined {
    const kept = this.#kept.get(name)
    if (kept === undefined || this.#options.clock.nowMs() < kept.endMs) return kept
    this.#drop(kept)
    return undefined
  }

  /** Undefined also of a log that ends before `after`: it has lost entries, and goes. */
  #findWhole(name: string, after: LogPosition | undefined): Kept | undefined {
    const kept = this.#find(name)
    if (kept === undefined || kept.value instanceof Uint8Array || !isBehind(kept.value, after)) return kept
    this.#drop(kept)
    return undefined
  }

  #keep(name: string, value: Uint8Array | Log, bytes: number, ttlSeconds: number | undefined): Kept {
    const kept: Kept = { name, value, bytes: 0, endMs: Number.POSITIVE_INFINITY, timer: NO_TIMER }
    this.#kept.set(name, kept)
    this.#charge(kept, bytes)
    if (ttlSeconds !== undefined) this.#limit(kept, ttlSeconds)
    return kept
  }

  #limit(kept: Kept, ttlSeconds: number): void {
    const { clock, wheel } = this.#options
    const ttlMs = Math.round(ttlSeconds * MS_PER_SECOND)
    kept.endMs = clock.nowMs() + ttlMs
    wheel.cancel(kept.timer)
    kept.timer = wheel.schedule(Math.min(ttlMs, DELAY_MS_MAX), this.#ended, kept)
  }

  readonly #ended = (kept: Kept): void => {
    const leftMs = kept.endMs - this.#options.clock.nowMs()
    if (leftMs <= 0) this.#drop(kept)
    else kept.timer = this.#options.wheel.schedule(Math.min(leftMs, DELAY_MS_MAX), this.#ended, kept)
  }

  #drop(kept: Kept | undefined): boolean {
    if (kept === undefined) return false
    this.#options.wheel.cancel(kept.timer)
    this.#kept.delete(kept.name)
    this.#bytes -= kept.bytes
    return true
  }

  #charge(kept: Kept, bytes: number): void {
    kept.bytes += bytes
    this.#bytes += bytes
  }

  #hasRoom(bytes: number): boolean {
    return bytes <= 0 || this.#bytes + bytes <= this.#options.memoryBytesMax
  }

  #full(): CallOutcome {
    return failed('BRIDGE_REFUSED', `its memory is full (${this.#options.memoryBytesMax} bytes)`)
  }
}

function isBehind({ epoch, offset }: Log, after: LogPosition | undefined): boolean {
  return after != null && after.epoch === epoch && offset < after.offset
}

// A key that is used as a log, or the other way round. Redis' own word, so that nobody need know which bridge it was.
function wrongKind(name: string): CallOutcome {
  return failed('BRIDGE_REFUSED', `WRONGTYPE ${name} is of the other kind`)
}
