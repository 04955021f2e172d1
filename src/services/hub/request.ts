// What clients send as text, taken apart and checked: a request, or the text of what is wrong with it. Pure.
// [PROTOCOLS 4.2, 4.3]
import { jsonOf, namedAs, TEXT } from './text.ts'

export const CHANNELS_MAX = 64
export const CHANNEL_LENGTH_MAX = 128
export const ID_LENGTH_MAX = 64
export const EVENT_TYPE_LENGTH_MAX = 128
export const DEFAULT_EVENT_TYPE = 'broadcast'
export const POSITIONS_MAX = 64

export type Members = Readonly<Record<string, unknown>>

/** Undefined: not JSON; null: not an object. */
export function membersOf(text: string): Members | null | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : null
  } catch {
    // There is no other way to ask.
    return undefined
  }
}

/** What its reply repeats, as a last member; nothing if there is no id that may be one. */
export function idJson({ id }: Members): string {
  const isId = typeof id === 'string' ? id.length <= ID_LENGTH_MAX : Number.isSafeInteger(id)
  return isId ? `,"id":${JSON.stringify(id)}` : ''
}

export interface Problem {
  readonly problem: string
}

/** The channels named, each once, in their order. */
export function channelsOf({ channels, channel }: Members): readonly string[] | Problem {
  const given = channels ?? (channel === undefined || channel === null ? [] : [channel])
  if (!Array.isArray(given)) return { problem: TEXT.channelsNoArray }
  const isGood = given.length <= CHANNELS_MAX && given.every(isChannelName)
  return isGood ? [...new Set(given as string[])] : { problem: TEXT.channelsBad }
}

export interface Options {
  readonly binary: boolean
  readonly compression: 'gzip' | 'none'
  /** Events say where they stand. */
  readonly offsets: boolean
}

export const NO_OPTIONS: Options = { binary: false, compression: 'none', offsets: false }

/** The options as they are from now on. */
export function optionsOf({ binary, compression, offsets }: Members, now: Options): Options | Problem {
  if (!isBooleanOrAbsent(binary)) return { problem: 'Invalid options: binary' }
  if (!(compression === undefined || compression === null || compression === 'gzip' || compression === 'none'))
    return { problem: 'Invalid options: compression' }
  if (!isBooleanOrAbsent(offsets)) return { problem: 'Invalid options: offsets' }
  // Compressed events are binary frames: who takes none of these takes none of those.
  const wanted = compression ?? (binary === false ? 'none' : now.compression)
  return {
    binary: wanted === 'gzip' || (binary ?? now.binary),
    compression: wanted,
    offsets: offsets ?? now.offsets,
  }
}

/** Those of the query: what is not one of the values counts as absent. */
export function queriedOptions(value: (name: string) => string | undefined, now: Options): Options {
  const [binary, compression, offsets] = [value('binary'), value('compression'), value('offsets')]
  const options = optionsOf(
    {
      binary: flagOf(binary),
      compression: compression === 'gzip' || compression === 'none' ? compression : undefined,
      offsets: flagOf(offsets),
    },
    now,
  )
  return 'problem' in options ? now : options
}

export interface Broadcast {
  readonly eventType: string
  /** JSON. */
  readonly data: string
}

export function broadcastOf({ event_type: eventType, data }: Members): Broadcast | Problem {
  const type = eventType ?? DEFAULT_EVENT_TYPE
  if (typeof type !== 'string' || type === '' || type.length > EVENT_TYPE_LENGTH_MAX)
    return { problem: TEXT.eventTypeBad }
  const value = data ?? {}
  const json = typeof value !== 'object' || Array.isArray(value) ? undefined : jsonOf(value)
  return json === undefined ? { problem: TEXT.dataNoObject } : { eventType: type, data: json }
}

/** How an error names a channel, whatever was given for one. */
export function channelText(channel: unknown): string {
  return namedAs(channel).slice(0, CHANNEL_LENGTH_MAX)
}

export interface Position {
  /** NaN: what the client says is no epoch of ours. */
  readonly epoch: number
  readonly offset: number
}

export function positionsOf({ positions }: Members): ReadonlyMap<string, Position> | Problem {
  if (typeof positions !== 'object' || positions === null || Array.isArray(positions))
    return { problem: TEXT.positionsBad }
  const entries = Object.entries(positions)
  if (entries.length > POSITIONS_MAX) return { problem: TEXT.positionsBad }
  const all = new Map<string, Position>()
  for (const [channel, position] of entries) {
    const { epoch, offset } = (position ?? {}) as Members
    if (!isChannelName(channel) || typeof epoch !== 'string' || !Number.isSafeInteger(offset) || Number(offset) < 0)
      return { problem: TEXT.positionsBad }
    all.set(channel, { epoch: /^\d{1,16}$/.test(epoch) ? Number(epoch) : Number.NaN, offset: Number(offset) })
  }
  return all
}

function isChannelName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= CHANNEL_LENGTH_MAX
}

function isBooleanOrAbsent(value: unknown): value is boolean | null | undefined {
  return value === undefined || value === null || typeof value === 'boolean'
}

function flagOf(value: string | undefined): boolean | undefined {
  return value === '1' ? true : value === '0' ? false : undefined
}
