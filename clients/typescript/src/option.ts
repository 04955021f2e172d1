// What a client is made with, checked, and the URLs that follow from it.
import type { Algorithm } from './compression.ts'
import { HubError } from './hub-error.ts'
import type { WebSocketClass } from './hub-socket.ts'

export interface ClientOptions {
  /** Default `ws://localhost:8000/ws`. It may have a query, `?reconnection_token=…` for instance. */
  readonly url?: string
  /** A JWT. It goes into the URL, because browsers cannot set headers of a WebSocket. */
  readonly token?: string | undefined
  /** Connects again after a connection was lost. Default true. */
  readonly autoReconnect?: boolean
  /** Milliseconds before the first attempt; it doubles with each. Default 3000. */
  readonly reconnectDelay?: number
  /** Failed attempts in a row after which it gives up. Default 10. */
  readonly maxReconnectAttempts?: number
  /** Writes what it does to `console.debug`. Default false. */
  readonly debug?: boolean
  /** Keeps a reconnection token and positions, so that a lost connection costs no event. Default true. */
  readonly resume?: boolean
  /** Takes binary frames. Default false. */
  readonly binary?: boolean
  /** `gzip`: large events come compressed. Default `none`. */
  readonly compression?: Extract<Algorithm, 'gzip' | 'none'>
  /** Used instead of the platform's. */
  readonly WebSocket?: WebSocketClass | undefined
}

export type Settings = { readonly [K in keyof ClientOptions]-?: Exclude<ClientOptions[K], undefined> } & {
  readonly token: string
}

const URL_DEFAULT = 'ws://localhost:8000/ws'
const RECONNECT_DELAY_MS = 3000
const RECONNECT_ATTEMPTS_MAX = 10
const RECONNECTION_TOKEN = 'reconnection_token'

/** Throws FRAME_INVALID when there is no WebSocket, or a number makes no sense. */
export function settingsOf(options: ClientOptions): Settings {
  const {
    url = URL_DEFAULT,
    token = '',
    autoReconnect = true,
    reconnectDelay = RECONNECT_DELAY_MS,
    maxReconnectAttempts = RECONNECT_ATTEMPTS_MAX,
    debug = false,
    resume = true,
    binary = false,
    compression = 'none',
    WebSocket = globalThis.WebSocket as WebSocketClass | undefined,
  } = options
  if (WebSocket === undefined) throw invalid('this platform has no WebSocket: pass one')
  if (!(reconnectDelay >= 0)) throw invalid('reconnectDelay must be a number of milliseconds')
  if (!(maxReconnectAttempts >= 0)) throw invalid('maxReconnectAttempts must be a number')
  if (compression !== 'gzip' && compression !== 'none') throw invalid('compression must be gzip or none')
  return {
    ...{ url, token, autoReconnect, reconnectDelay, maxReconnectAttempts },
    ...{ debug, resume, binary, compression, WebSocket },
  }
}

/** With `reconnectionToken`: in the place of one that the URL brought along, which was used. */
export function urlOf(settings: Settings, reconnectionToken: string | undefined): string {
  const { url, token, resume, binary, compression } = settings
  const wanted: Record<string, string | undefined> = {
    token: token === '' ? undefined : token,
    binary: binary ? '1' : undefined,
    compression: compression === 'none' ? undefined : compression,
    offsets: resume ? '1' : undefined,
    [RECONNECTION_TOKEN]: reconnectionToken,
  }
  let [address = '', query = ''] = url.replace(/#.*$/, '').split(/\?(.*)/s)
  const parts = query.split('&').filter((part) => part !== '')
  // Parameters of the URL win, but for the token: what the user wrote there is meant.
  const kept = reconnectionToken === undefined ? parts : parts.filter((part) => keyOf(part) !== RECONNECTION_TOKEN)
  const named = new Set(kept.map(keyOf))
  for (const [name, value] of Object.entries(wanted))
    if (value !== undefined && (name === 'token' || !named.has(name))) kept.push(`${name}=${encodeURIComponent(value)}`)
  if (kept.length > 0) address += `?${kept.join('&')}`
  return address
}

function keyOf(part: string): string {
  return part.split('=', 1)[0] ?? ''
}

function invalid(message: string): HubError {
  return new HubError('FRAME_INVALID', message)
}
