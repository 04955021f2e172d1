// What the hub says to clients, in the words of the protocol. Replies are written by hand, member by member in its order.
// [PROTOCOLS 4.2, 4.3]

export const TEXT = {
  notJson: 'Invalid JSON format',
  notObject: 'Error processing message: expected a JSON object',
  channelsNoArray: 'channels must be an array',
  channelsBad: 'channels must be an array of at most 64 strings',
  rateLimited: 'Rate limit exceeded',
  dataNoObject: 'data must be an object',
  eventTypeBad: 'event_type must be a string of 1 to 128 characters',
  positionsBad: 'positions must be an object of {epoch, offset}',
  tokensForUsers: 'Reconnection tokens are only available for authenticated users',
  tokenFailed: 'Failed to create reconnection token',
  broadcastFailed: 'Broadcast failed: the server is overloaded',
  tooLarge: 'Message too large',
  channelMissing: 'metadata.channel is missing',
} as const

export const CLOSE = {
  idle: { code: 1001, reason: 'idle timeout' },
  tooLarge: { code: 1009, reason: 'message too large' },
  resumed: { code: 4500, reason: 'session resumed elsewhere' },
  expired: { code: 4501, reason: 'token expired' },
} as const

/** The types of frames that are no events; `message_type` of metrics. */
export const FRAME_TYPES = [
  'connected',
  'session_restored',
  'pong',
  'ping',
  'subscribed',
  'unsubscribed',
  'subscriptions',
  'reconnection_token',
  'options',
  'broadcast_ack',
  'recovered',
  'error',
  'disconnected',
] as const
export type FrameType = (typeof FRAME_TYPES)[number]

/** What sums of fractions are off by. */
const ROUNDING = 1e-6

export function timestampOf(wallMs: number): string {
  return new Date(wallMs).toISOString()
}

/** `id`: `,"id":…` or nothing; it is the last member. */
export function errorJson(message: string, id = '', more = ''): string {
  return `{"type":"error","message":${JSON.stringify(message)}${more}${id}}`
}

export function unknownType(type: unknown): string {
  return `Unknown message type: ${namedAs(type).slice(0, 64)}`
}

/** How an error names what was given for a name, whatever it is. */
export function namedAs(name: unknown): string {
  if (name === undefined || name === null) return 'None'
  return typeof name === 'string' ? name : (jsonOf(name) ?? 'nested too deeply')
}

/** Undefined: it was read, and cannot be written, because it is nested deeper than the stack of Node.js 24 reaches. */
export function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    // There is no other way to know.
    return undefined
  }
}

/** Rounded up: who waits so long is not refused again. */
export function retryAfterJson(seconds: number): string {
  return `,"retry_after":${Math.max(1, Math.ceil(seconds * 1_000 - ROUNDING)) / 1_000}`
}
