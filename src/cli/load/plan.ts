// What a load test will do, read from the command line: every value checked against its limit, all problems at once.
// Pure: no socket, no clock.
import type { RedisAddress } from '../../lib/redis-address.ts'
import { OptionReader } from '../option-reader.ts'
import { redisAddressOf } from '../redis-address.ts'
import { isPlainChannel } from './hub/event.ts'
import { CONNECTIONS_MAX as CONNECTION_NUMBERS_MAX, MESSAGE_BYTES_MIN } from './message.ts'

export const CONNECTIONS_MAX = Math.min(100_000, CONNECTION_NUMBERS_MAX)
export const DURATION_MS_MAX = 3_600_000
export const RATE_PER_SECOND_MAX = 1_000_000
export const WINDOW_MESSAGES_MAX = 1_024
export const THREADS_MAX = 64
const TIMEOUT_MS_MAX = 60_000
const RAMP_PER_SECOND_MAX = 100_000
/** A line of the echo service: longer ones come back in pieces. A datagram over IPv4. The echo service's WebSocket limit. */
const SIZE_BYTES_MAX = {
  tcp: 65_536,
  udp: 65_507,
  ws: 1_048_576,
  chat: 4_000,
  rooms: 64 * 1024 * 1024,
  /** A frame of text has 1 MiB, and something stands around the message. */
  hub: 1_000_000,
  http: 0,
  'session-proxy': 1_048_576,
} as const
const SUBSCRIBERS_MAX = 10_000
/** Each member of a room, and each subscriber of a channel, keeps books of each sender. */
const ROOM_SENDERS_MAX = 2_000
/** A message that arrives in pieces is put together, at each member. */
const ROOM_BYTES_MAX = 1024 ** 3
/** Of the hub; nobody else publishes there unless somebody does. */
const DEFAULT_CHANNEL = 'signals'
/** A body is typed on the command line. */
const BODY_BYTES_MAX = 1_048_576
/** A datagram that did not come back within a second on its way through one machine or one network is lost. */
const TIMEOUT_MS = {
  tcp: 5_000,
  udp: 1_000,
  ws: 5_000,
  chat: 5_000,
  rooms: 5_000,
  hub: 5_000,
  http: 5_000,
  'session-proxy': 5_000,
} as const

export type Transport = 'ws' | 'tcp' | 'udp' | 'chat' | 'rooms' | 'hub' | 'http' | 'session-proxy'

/** Open: `ratePerSecond` over all connections, whatever comes back. Closed: `window` messages in flight per connection. */
export type Load =
  | { readonly kind: 'open'; readonly ratePerSecond: number; readonly poisson: boolean }
  | { readonly kind: 'closed'; readonly window: number }

/** Whole numbers, both ends included; connections take them in turn. */
export interface NumberRange {
  readonly first: number
  readonly last: number
}

export function memberOf({ first, last }: NumberRange, index: number): number {
  return first + (index % (last - first + 1))
}

/** What is sent to the chat service, and as whom. */
export interface ChatPlan {
  readonly chats: NumberRange
  readonly senders: NumberRange
  /** Connections that follow the chat; then there is only one chat. */
  readonly subscribers: number
  readonly token: string | undefined
}

/** Who is in the room, and what is said there. */
export interface RoomsPlan {
  /** Further members who only listen. */
  readonly subscribers: number
  /** Messages are files, not texts. */
  readonly files: boolean
}

/** Who broadcasts to which channel of the hub. */
export interface HubPlan {
  readonly channel: string
  /** Further connections that only listen. */
  readonly subscribers: number
  /** Of somebody who may broadcast. */
  readonly token: string | undefined
}

/** Where messages to sessions are published. */
export interface SessionTarget {
  readonly redis: RedisAddress
}

/** GET without a body, POST with one. */
export interface HttpPlan {
  readonly body: string | undefined
  readonly token: string | undefined
}

/** One run against one target. Crosses threads as it is. */
export interface LoadPlan {
  readonly url: string
  readonly transport: Transport
  readonly secure: boolean
  readonly host: string
  readonly port: number
  /** Path and query, for WebSocket and HTTP. */
  readonly path: string
  readonly connections: number
  readonly load: Load
  /** Of a message; of the request's body for HTTP. */
  readonly sizeBytes: number
  readonly warmupMs: number
  readonly durationMs: number
  /** How long an answer, or a handshake, may take. */
  readonly timeoutMs: number
  readonly threads: number
  readonly rampPerSecond: number
  readonly seed: number
  /** TCP: lines come back as `[Conn N] <line>`, or as they are. */
  readonly mode: 'prefixed' | 'raw'
  readonly binary: boolean
  readonly sessionKeys: boolean
  readonly insecure: boolean
  readonly pid: number | undefined
  /** For the transport of that name. */
  readonly chat: ChatPlan | undefined
  readonly rooms: RoomsPlan | undefined
  readonly hub: HubPlan | undefined
  readonly http: HttpPlan | undefined
  readonly session: SessionTarget | undefined
}

/** The flags of the command, as typed. */
export interface LoadTestOptions {
  readonly connections?: string | number
  readonly rate?: string | number
  readonly window?: string | number
  readonly size?: string | number
  readonly warmup?: string | number
  readonly duration?: string | number
  readonly timeout?: string | number
  readonly threads?: string | number
  readonly ramp?: string | number
  readonly seed?: string | number
  readonly pid?: string | number
  readonly mode?: string
  readonly poisson?: boolean
  readonly binary?: boolean
  readonly sessionKeys?: boolean
  readonly insecure?: boolean
  readonly json?: boolean
  readonly chat?: string | number
  readonly sender?: string | number
  readonly subscribers?: string | number
  readonly files?: boolean
  readonly token?: string
  readonly body?: string
  readonly redisUrl?: string
}

/** Targets that stand for several URLs, tried one after another. */
export const SCENARIOS: Readonly<Record<string, readonly string[]>> = {
  echo: ['ws://127.0.0.1:8085', 'tcp://127.0.0.1:8084', 'udp://127.0.0.1:8084'],
  chat: ['chat://127.0.0.1:8081'],
  rooms: ['rooms://127.0.0.1:8083'],
  hub: ['hub://127.0.0.1:8000'],
  'session-proxy': ['session-proxy://127.0.0.1:4040'],
}

export type PlanResult =
  | { readonly plans: readonly LoadPlan[]; readonly problems?: never }
  | { readonly plans?: never; readonly problems: readonly string[] }

/** What the machine and the moment contribute to a plan. */
export interface PlanSurroundings {
  readonly cores: number
  readonly seed: number
  readonly environment: Readonly<Record<string, string | undefined>>
}

export function parseLoadPlans(target: string, options: LoadTestOptions, around: PlanSurroundings): PlanResult {
  const reader = new OptionReader(options)
  const urls = SCENARIOS[target] ?? [target]
  const plans = urls.map((url) => planOf(url, reader, around))
  if (reader.problems.size > 0) return { problems: [...reader.problems] }
  return { plans }
}

function planOf(url: string, reader: OptionReader<LoadTestOptions>, around: PlanSurroundings): LoadPlan {
  const { options } = reader
  const place = targetOf(url, reader)
  const { transport } = place
  const chat = transport === 'chat' ? chatOf(reader) : undefined
  const rooms = transport === 'rooms' ? roomsOf(reader) : undefined
  const hub = transport === 'hub' ? hubOf(place.path, reader) : undefined
  const http = transport === 'http' ? httpOf(reader) : undefined
  const session = transport === 'session-proxy' ? sessionOf(reader, around) : undefined
  refuseOthers(transport, reader)
  const connections = reader.whole('connections', 100, 1, CONNECTIONS_MAX)
  const threads = reader.whole('threads', threadsFor(around.cores), 1, THREADS_MAX)
  const mode = options.mode ?? 'prefixed'
  if (mode !== 'prefixed' && mode !== 'raw') reader.problem(`--mode is prefixed or raw, not "${mode}"`)
  if (options.rate !== undefined && options.window !== undefined) {
    reader.problem('--rate (open loop) and --window (closed loop) exclude each other')
  }
  if (options.poisson === true && options.rate === undefined) reader.problem('--poisson needs --rate')
  return {
    url,
    ...place,
    connections,
    load:
      options.rate === undefined
        ? { kind: 'closed', window: reader.whole('window', 1, 1, transport === 'http' ? 1 : WINDOW_MESSAGES_MAX) }
        : {
            kind: 'open',
            ratePerSecond: reader.number('rate', 1, 0.1, RATE_PER_SECOND_MAX),
            poisson: options.poisson === true,
          },
    sizeBytes:
      transport === 'http'
        ? Buffer.byteLength(options.body ?? '')
        : reader.size('size', 64, MESSAGE_BYTES_MIN, SIZE_BYTES_MAX[transport]),
    warmupMs: reader.duration('warmup', 2_000, 0, DURATION_MS_MAX),
    durationMs: reader.duration('duration', 10_000, 100, DURATION_MS_MAX),
    timeoutMs: reader.duration('timeout', TIMEOUT_MS[transport], 10, TIMEOUT_MS_MAX),
    threads: Math.min(threads, connections),
    rampPerSecond: reader.whole('ramp', 2_000, 1, RAMP_PER_SECOND_MAX),
    seed: reader.whole('seed', around.seed, 0, 2 ** 32 - 1),
    mode: mode === 'raw' ? 'raw' : 'prefixed',
    binary: options.binary === true,
    sessionKeys: options.sessionKeys === true,
    insecure: options.insecure === true,
    pid: options.pid === undefined ? undefined : reader.whole('pid', 0, 1, 2 ** 31 - 1),
    chat,
    rooms,
    hub,
    http,
    session,
  }
}

function chatOf(reader: OptionReader<LoadTestOptions>): ChatPlan {
  const chats = rangeOf(reader, 'chat')
  const subscribers = reader.whole('subscribers', 0, 0, SUBSCRIBERS_MAX)
  if (subscribers > 0 && chats.first !== chats.last) reader.problem('--subscribers follow one chat, not several')
  return { chats, senders: rangeOf(reader, 'sender'), subscribers, token: reader.options.token }
}

/** `7`, or `1-50`. */
function rangeOf(reader: OptionReader<LoadTestOptions>, name: 'chat' | 'sender'): NumberRange {
  const given = reader.options[name] ?? 1
  const [, from, to = from] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(String(given)) ?? []
  const range = { first: Number(from), last: Number(to) }
  if (range.first >= 1 && range.last >= range.first) return range
  reader.problem(`--${name} is an id, or a range of them such as 1-50, not "${given}"`)
  return { first: 1, last: 1 }
}

function roomsOf(reader: OptionReader<LoadTestOptions>): RoomsPlan {
  const subscribers = reader.whole('subscribers', 0, 0, SUBSCRIBERS_MAX)
  const senders = reader.whole('connections', 100, 1, ROOM_SENDERS_MAX)
  const sizeBytes = reader.size('size', 64, MESSAGE_BYTES_MIN, SIZE_BYTES_MAX.rooms)
  if ((senders + subscribers) * sizeBytes > ROOM_BYTES_MAX)
    reader.problem(`--size for each member of the room is more than ${ROOM_BYTES_MAX} B in all`)
  return { subscribers, files: reader.options.files === true }
}

/** The path of the URL is the channel. */
function hubOf(path: string, reader: OptionReader<LoadTestOptions>): HubPlan {
  const channel = path.replace(/^\/|\/$/g, '') || DEFAULT_CHANNEL
  if (!isPlainChannel(channel)) reader.problem('the path of a hub target is one channel: hub://host:port/signals')
  reader.whole('connections', 100, 1, ROOM_SENDERS_MAX)
  const { token } = reader.options
  if (token === undefined) reader.problem('a hub target needs --token: the JWT of somebody who may broadcast')
  return { channel, subscribers: reader.whole('subscribers', 0, 0, SUBSCRIBERS_MAX), token }
}

function httpOf(reader: OptionReader<LoadTestOptions>): HttpPlan {
  const { body, token, size } = reader.options
  if (Buffer.byteLength(body ?? '') > BODY_BYTES_MAX) reader.problem(`--body has at most ${BODY_BYTES_MAX} bytes`)
  if (size !== undefined) reader.problem('--size has no meaning for http: the body is sent as it is')
  return { body, token }
}

function sessionOf(reader: OptionReader<LoadTestOptions>, around: PlanSurroundings): SessionTarget | undefined {
  const { redisUrl } = reader.options
  const redis = redisAddressOf(redisUrl, around.environment, (text) => reader.problem(text))
  return redis === undefined ? undefined : { redis }
}

const FOLLOWED: readonly Transport[] = ['chat', 'rooms', 'hub']
const AUTHENTICATED: readonly Transport[] = ['chat', 'hub', 'http']

/** What only another transport knows would be ignored silently. */
function refuseOthers(transport: Transport, reader: OptionReader<LoadTestOptions>): void {
  const { chat, sender, subscribers, files, token, body, redisUrl } = reader.options
  const ofChat = [chat, sender].some((value) => value !== undefined)
  if (ofChat && transport !== 'chat') reader.problem('--chat and --sender need a chat target')
  if (subscribers !== undefined && !FOLLOWED.includes(transport))
    reader.problem('--subscribers needs a chat, rooms or hub target')
  if (files !== undefined && transport !== 'rooms') reader.problem('--files needs a rooms target')
  if (token !== undefined && !AUTHENTICATED.includes(transport))
    reader.problem('--token needs a chat, hub or http target')
  if (redisUrl !== undefined && transport !== 'session-proxy')
    reader.problem('--redis-url needs a session-proxy target')
  if (body !== undefined && transport !== 'http') reader.problem('--body needs an http target')
}

/** The server runs on the same machine more often than not: a quarter of the cores for the generator. */
function threadsFor(cores: number): number {
  return Math.max(1, Math.min(8, Math.floor(cores / 4)))
}

type Place = Pick<LoadPlan, 'transport' | 'secure' | 'host' | 'port' | 'path'>

const SCHEMES: Readonly<Record<string, Transport>> = {
  ws: 'ws',
  wss: 'ws',
  tcp: 'tcp',
  udp: 'udp',
  http: 'http',
  chat: 'chat',
  rooms: 'rooms',
  hub: 'hub',
  'session-proxy': 'session-proxy',
}
/** The URL class drops a port that is the scheme's default. */
const DEFAULT_PORTS: Readonly<Record<string, number>> = { ws: 80, wss: 443, http: 80 }

function targetOf(target: string, reader: OptionReader<LoadTestOptions>): Place {
  const url = URL.canParse(target) ? new URL(target) : undefined
  const scheme = url?.protocol.slice(0, -1) ?? ''
  const transport = SCHEMES[scheme]
  if (url === undefined || transport === undefined) {
    const schemes = Object.keys(SCHEMES).map((name) => `${name}://`)
    reader.problem(
      `"${target}" is no target: ${schemes.join(', ')} with host:port, or ${Object.keys(SCENARIOS).join(', ')}`,
    )
    return { transport: 'ws', secure: false, host: '', port: 0, path: '/' }
  }
  const port = url.port === '' ? (DEFAULT_PORTS[scheme] ?? 0) : Number(url.port)
  if (url.hostname === '' || port === 0) reader.problem(`"${target}" needs a host and a port`)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { transport, secure: scheme === 'wss', host, port, path: url.pathname + url.search }
}
