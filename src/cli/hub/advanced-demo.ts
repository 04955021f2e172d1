// `polyloop hub-demo --advanced`: what makes a hub more than a loop over sockets, in five demonstrations.
import { gzipSync } from 'node:zlib'
import { packBinary } from '../../services/hub/binary-message.ts'
import { DEFAULT_CHANNELS } from '../../services/hub/config.ts'
import { printable } from '../chat-packet.ts'
import { problemOf } from '../problem.ts'
import type { ToolIo } from '../tool-io.ts'
import { HubConnection, HubFailure } from './connection.ts'
import { type Frame, isEvent, stringsOf } from './frame.ts'
import { type HubTarget, httpUrl, withQuery } from './target.ts'

const PINGS = 150
const PAYLOAD_BYTES = 4_096
/** Rows of a JSON event that is worth compressing: about 12 KB. */
const ROWS = 220
const HTTP_MS_MAX = 5_000
const ARRIVAL_MS_MAX = 5_000
/** An event of `metrics` comes every 5 s, unless that is configured. */
const METRICS_MS_MAX = 6_000
const METRICS_SHOWN = 12
const PAGE_BYTES_MAX = 4 * 1024 * 1024

interface Stage {
  readonly target: HubTarget
  readonly signal: AbortSignal
  say(text: string): void
}

interface Demonstration {
  readonly title: string
  /** Rejects with a HubFailure when the server does something else. */
  run(stage: Stage): Promise<void>
}

/** Resolves with how many of them failed. */
export async function runAdvancedDemo(target: HubTarget, { stdout, signal }: ToolIo): Promise<number> {
  let failed = 0
  for (const [index, { title, run }] of DEMONSTRATIONS.entries()) {
    if (signal.aborted) return failed
    stdout.write(`${index === 0 ? '' : '\n'}=== ${index + 1}. ${title} ===\n`)
    try {
      await run({ target, signal, say: (text) => void stdout.write(`  ${text}\n`) })
    } catch (error) {
      if (signal.aborted) return failed
      failed++
      stdout.write(`  failed: ${problemOf(error)}\n`)
    }
  }
  return failed
}

const DEMONSTRATIONS: readonly Demonstration[] = [
  { title: 'Resuming a session with a token', run: resume },
  { title: 'Channels of an anonymous user', run: permissions },
  { title: `Rate limit: ${PINGS} pings at once`, run: rateLimit },
  { title: 'Binary messages and compression', run: binary },
  { title: 'Metrics after some activity', run: metrics },
]

async function resume({ target, signal, say }: Stage): Promise<void> {
  let token = ''
  {
    await using first = await HubConnection.open(target, { signal })
    const subscribed = await first.ask('subscribe', { channels: ['metrics', 'status'] })
    say(`subscribed to ${stringsOf(subscribed.channels).join(', ')}`)
    const reply = await first.ask('get_reconnection_token')
    if (typeof reply.token !== 'string') throw new HubFailure(`no token: ${printable(reply.message)}`)
    token = reply.token
    say(`token ${token.slice(0, 6)}… of ${token.length} characters, valid for ${printable(reply.expires_in)} s`)
    await first.cut()
    say('the connection is cut, until others have got an event')
  }
  await someEvent(target, signal)
  const restored = Promise.withResolvers<Frame>()
  await using second = await HubConnection.open(withQuery(target, { reconnection_token: token }), {
    signal,
    received: (frame) => {
      if (frame?.type === 'session_restored') restored.resolve(frame)
    },
  })
  if (second.welcome.reconnected !== true) throw new HubFailure('the session is not restored')
  const { channels, missed, dropped } = await inTime(restored.promise, 'session_restored has not arrived')
  say(
    `restored with ${stringsOf(channels).join(', ')}: ${printable(missed)} missed events, ${printable(dropped)} dropped`,
  )
}

/** Waits until the channel `metrics` has told something, or should have. */
async function someEvent(target: HubTarget, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  await using witness = await HubConnection.open(target, {
    signal,
    received: (frame) => {
      if (frame !== undefined && isEvent(frame)) resolve()
    },
  })
  await witness.ask('subscribe', { channels: ['metrics'] })
  const timer = setTimeout(resolve, METRICS_MS_MAX)
  await Promise.race([promise, witness.ended])
  clearTimeout(timer)
}

async function permissions({ target, signal, say }: Stage): Promise<void> {
  await using connection = await HubConnection.open({ ...target, token: undefined }, { signal })
  const reply = await connection.ask('subscribe', { channels: DEFAULT_CHANNELS })
  say(`allowed: ${printable(stringsOf(reply.channels).join(', ')) || 'nothing'}`)
  say(`denied:  ${printable(stringsOf(reply.denied).join(', ')) || 'nothing'}`)
  const refusal = await connection.ask('broadcast', { channel: 'signals', data: {} })
  say(`a broadcast: ${printable(refusal.message ?? refusal.type)}`)
}

async function rateLimit({ target, signal, say }: Stage): Promise<void> {
  await using connection = await HubConnection.open({ ...target, token: undefined }, { signal })
  const replies = await Promise.all(Array.from({ length: PINGS }, () => connection.ask('ping')))
  const refused = replies.filter(({ type }) => type === 'error')
  say(`${PINGS - refused.length} pongs, ${refused.length} refusals`)
  const [first] = refused
  if (first !== undefined) say(`${printable(first.message)}: again in ${printable(first.retry_after)} s`)
}

async function binary({ target, signal, say }: Stage): Promise<void> {
  const image = packBinary('IMAGE', '{"format":"png","width":64,"height":64}', Buffer.alloc(PAYLOAD_BYTES))
  const overhead = image.length - PAYLOAD_BYTES
  say(
    `an image of ${PAYLOAD_BYTES} bytes: ${overhead} more as a binary message, ${(PAYLOAD_BYTES / 3 + 2) | 0} more as base64`,
  )
  const data = {
    rows: Array.from({ length: ROWS }, (_, index) => ({ id: index, name: `sensor-${index}`, value: index / 7 })),
  }
  const json = JSON.stringify(data)
  const gzip = gzipSync(json).length
  say(`an event of ${json.length} bytes: ${gzip} with gzip, ${Math.round((gzip / json.length) * 100)} %`)
  const opted = withQuery({ ...target }, { binary: '1', compression: 'gzip' })
  const arrived = Promise.withResolvers<number>()
  await using connection = await HubConnection.open(opted, {
    signal,
    received: (frame, raw, isBinary) => {
      if (frame !== undefined && isBinary && isEvent(frame) && frame.channel === 'signals') arrived.resolve(raw.length)
    },
  })
  const subscribed = await connection.ask('subscribe', { channels: ['signals'] })
  const reply = await connection.ask('broadcast', { channel: 'signals', event_type: 'signal.demo', data })
  if (reply.type !== 'broadcast_ack' || stringsOf(subscribed.channels).length === 0) {
    say('(with the token of an administrator it is also sent and received)')
    return
  }
  say(
    `broadcast to ${printable(reply.subscribers)} subscribers, and received as ${await inTime(arrived.promise, 'the event has not arrived')} bytes`,
  )
}

async function metrics({ target, signal, say }: Stage): Promise<void> {
  const url = httpUrl(target, '/metrics')
  const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(HTTP_MS_MAX)]) })
  if (!response.ok) throw new HubFailure(`${url} answers ${response.status}`)
  const page = (await response.text()).slice(0, PAGE_BYTES_MAX)
  const moved = [...sumsOf(page)].filter(([, sum]) => sum > 0)
  if (moved.length === 0) throw new HubFailure(`${url} shows nothing that moved`)
  for (const [name, sum] of moved.slice(0, METRICS_SHOWN)) say(`${name} ${Math.round(sum * 1_000) / 1_000}`)
  if (moved.length > METRICS_SHOWN) say(`… and ${moved.length - METRICS_SHOWN} more`)
}

/** Rejects with a HubFailure when it takes too long. */
async function inTime<T>(promise: Promise<T>, otherwise: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new HubFailure(otherwise)), ARRIVAL_MS_MAX)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Of each counter and gauge, over all its labels. */
function sumsOf(page: string): Map<string, number> {
  const sums = new Map<string, number>()
  for (const [, name = '', value] of page.matchAll(/^(neurograph_ws_\w+)(?:\{[^\n]*\})? (\S+)$/gm)) {
    if (name.endsWith('_bucket') || name.endsWith('_sum')) continue
    sums.set(name, (sums.get(name) ?? 0) + Number(value))
  }
  return sums
}
