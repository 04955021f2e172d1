// What travels as text: events, which have no `type`, and control frames, which have. Parsed once, here; members are
// checked where they are used.
import type { DataOf } from './channel.ts'

/** Anything the server sends. Which members there are depends on `type`. */
export interface HubFrame {
  readonly type?: string
  readonly id?: number | string
  readonly timestamp?: string
  readonly message?: string
  /** Seconds. */
  readonly retry_after?: number
  readonly channels?: readonly string[]
  readonly denied?: readonly string[]
  readonly channel?: string
  readonly event_type?: string
  readonly data?: Readonly<Record<string, unknown>>
  readonly token?: string
  readonly reconnection_token?: string
  /** Seconds. */
  readonly expires_in?: number
  readonly subscribers?: number
  readonly client_id?: string
  readonly user_id?: string | null
  readonly reconnected?: boolean
  readonly missed?: number
  readonly dropped?: number
  readonly [member: string]: unknown
}

/** An event of a channel. */
export interface HubEvent<Data = Readonly<Record<string, unknown>>> {
  readonly channel: string
  readonly timestamp: string
  readonly event_type: string
  readonly data: Data
  /** It was missed, and is delivered late. */
  readonly buffered_at?: string
  /** Its place in the channel's epoch; with `resume` only. */
  readonly offset?: number
  readonly epoch?: string
  readonly [member: string]: unknown
}

export type EventOf<C extends string> = HubEvent<DataOf<C>>

/** Undefined when the text is not a JSON object. */
export function parseFrame(text: string): HubFrame | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return isObject(value) ? value : undefined
}

export function isEvent(frame: HubFrame): frame is HubFrame & HubEvent {
  return frame.type === undefined && typeof frame.channel === 'string'
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The strings of what should be an array of them. */
export function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}
