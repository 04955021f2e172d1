// What a topic is, as its author writes it: a kind, what it keeps, and what happens to subscribers that are too slow.
// Nothing here delivers anything.
import { PolyloopError } from '../lib/errors.ts'
import { parseDuration } from '../lib/units.ts'
import { slotOf } from '../placement/slots.ts'

/**
 * What happens to a subscriber that does not keep up. `disconnect`: nothing, until `net.sendBuffer.max` closes it with
 * 1008; `drop-oldest`: the oldest of what waits is dropped; `conflate`: the latest message of each key waits;
 * `catch-up`: nothing waits, and it gets what it missed from the history once it has drained.
 */
export type SlowMode = 'disconnect' | 'drop-oldest' | 'conflate' | 'catch-up'
const SLOW_MODES: readonly string[] = ['disconnect', 'drop-oldest', 'conflate', 'catch-up'] satisfies SlowMode[]

/**
 * Who shares a topic. `cluster`: all hosts with the same Redis (without one, this host); `host`: this host alone;
 * `store`: the hosts that share a store, for topics that tell of what is stored.
 */
export type TopicScope = 'cluster' | 'host' | 'store'
const SCOPES: readonly string[] = ['cluster', 'host', 'store'] satisfies TopicScope[]

/** What a kind keeps for subscribers that come back; whichever bound is reached first. */
export interface HistoryLimits {
  readonly count: number
  readonly bytes: number
  readonly ageMs: number
}

/** Bounds a history has when its definition names only some: none is without bounds. */
export const HISTORY_DEFAULTS: HistoryLimits = { count: 1_000, bytes: 1024 * 1024, ageMs: 3_600_000 }

/** A topic without subscribers and without anything in its history is forgotten after so long, unless its kind says otherwise. */
export const TOPIC_IDLE_MS = 600_000

/** Of a whole name, UTF-8. */
export const TOPIC_NAME_BYTES_MAX = 255

/** Of the key of one message, UTF-8. */
export const TOPIC_KEY_BYTES_MAX = 512

/** Where a message stands in its topic. */
export interface TopicPosition {
  readonly topic: string
  readonly epoch: number
  readonly offset: number
}

export interface TopicDefinition<Message = never> {
  readonly type: 'topic'
  readonly kind: string
  /** Undefined: nothing is kept for subscribers that come back. */
  readonly history: HistoryLimits | undefined
  readonly slow: SlowMode
  readonly scope: TopicScope
  readonly key: ((message: Message) => string) | undefined
  readonly encode: ((message: Message, position: TopicPosition) => string | Uint8Array) | undefined
  readonly compress: boolean
  readonly presence: boolean
  readonly idleAfterMs: number
}

const KIND = /^[a-z][a-z0-9-]{0,62}$/
const KIND_OF_NAME = /^([a-z][a-z0-9-]{0,62})\../

/**
 * Defines a kind of topic. Put it in a module of its own and name that module in `modules`, as with actors. A kind without
 * a definition has the defaults. Throws a TypeError on what cannot be meant.
 */
export function defineTopic<Message = unknown>(definition: {
  /** Kebab-case, at most 63 characters; topics of it are called `kind.id`. */
  readonly kind: string
  /** Kept for subscribers that come back; bounds that are not named have HISTORY_DEFAULTS. Default: nothing. `age`: a duration, or milliseconds. */
  readonly history?: { readonly count?: number; readonly bytes?: number; readonly age?: string | number }
  /** Default `disconnect`. */
  readonly slow?: SlowMode
  /** Default `cluster`. */
  readonly scope?: TopicScope
  /** What a message is the latest value of; for `conflate`. Without it the latest message of the topic is what waits. */
  key?(message: Message): string
  /**
   * The message as clients get it: a string becomes text, bytes become binary. Called once per message, where the topic
   * lives. Default: strings and bytes as they are, everything else as JSON.
   */
  encode?(message: Message, position: TopicPosition): string | Uint8Array
  /** Whether clients that negotiated compression get it. Default true. */
  readonly compress?: boolean
  /** Whether the topic knows who its subscribers are. Default false. */
  readonly presence?: boolean
  /** How long a topic that nobody uses is remembered: a duration, or milliseconds. Default TOPIC_IDLE_MS. */
  readonly idleAfter?: string | number
}): TopicDefinition<Message> {
  const { kind, history, slow = 'disconnect', scope = 'cluster', key, encode } = definition
  const { compress = true, presence = false, idleAfter } = definition
  if (!KIND.test(kind)) throw new TypeError(`topic kind ${kind} is not kebab-case of at most 63 characters`)
  if (!SLOW_MODES.includes(slow)) throw new TypeError(`topic ${kind}: slow ${slow} is none of ${SLOW_MODES.join(', ')}`)
  if (!SCOPES.includes(scope)) throw new TypeError(`topic ${kind}: scope ${scope} is none of ${SCOPES.join(', ')}`)
  if (slow === 'catch-up' && history === undefined)
    throw new TypeError(`topic ${kind}: catch-up reads the history, and there is none`)
  const limits =
    history === undefined
      ? undefined
      : Object.freeze({
          count: whole(kind, 'history.count', history.count ?? HISTORY_DEFAULTS.count),
          bytes: whole(kind, 'history.bytes', history.bytes ?? HISTORY_DEFAULTS.bytes),
          ageMs: milliseconds(kind, 'history.age', history.age ?? HISTORY_DEFAULTS.ageMs),
        })
  const idleAfterMs = milliseconds(kind, 'idleAfter', idleAfter ?? TOPIC_IDLE_MS)
  return Object.freeze({
    type: 'topic',
    kind,
    history: limits,
    slow,
    scope,
    key,
    encode,
    compress,
    presence,
    idleAfterMs,
  })
}

/** Whether a module's export is a topic definition. */
export function isTopic(value: unknown): value is TopicDefinition {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'topic' && 'slow' in value
}

/** The definition of a kind, also of one that nobody defined. */
export function topicDefinitionOf(definitions: ReadonlyMap<string, TopicDefinition>, kind: string): TopicDefinition {
  return definitions.get(kind) ?? defineTopic<never>({ kind })
}

/** The kind in a topic's name; undefined if it is no name. */
export function kindOfTopic(name: string): string | undefined {
  const kind = KIND_OF_NAME.exec(name)?.[1]
  // Each UTF-16 unit takes one to three bytes: most names need no count.
  if (kind === undefined || name.length > TOPIC_NAME_BYTES_MAX) return undefined
  return name.length * 3 <= TOPIC_NAME_BYTES_MAX || Buffer.byteLength(name) <= TOPIC_NAME_BYTES_MAX ? kind : undefined
}

/** Throws TOPIC_NAME_INVALID. */
export function checkedKindOfTopic(name: string): string {
  const kind = kindOfTopic(name)
  if (kind === undefined) throw new PolyloopError('TOPIC_NAME_INVALID', { topic: name.slice(0, TOPIC_NAME_BYTES_MAX) })
  return kind
}

/** The slot whose owner is the topic's home. */
export function slotOfTopic(name: string): number {
  return slotOf(`topic/${name}`)
}

function whole(kind: string, what: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new TypeError(`topic ${kind}: ${what} ${value} is not a whole number above 0`)
}

function milliseconds(kind: string, what: string, value: string | number): number {
  const ms = typeof value === 'number' ? value : parseDuration(value)
  if (ms !== undefined && Number.isFinite(ms) && ms > 0) return ms
  throw new TypeError(`topic ${kind}: ${what} ${value} is no duration above 0`)
}
