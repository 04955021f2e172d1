// Relations between options, checked in one function after each value is within its own bounds. A relation whose
// options are not in the table (a test's, another service's) does not apply.
import { accessSync, constants } from 'node:fs'
import { parseRedisAddress } from '../lib/redis-address.ts'
import { formatDuration } from '../lib/units.ts'
import type { TlsFiles } from './kind.ts'
import type { OptionRows } from './option.ts'
import { ConfigProblem } from './problem.ts'

export interface Resolved {
  readonly value: unknown
  readonly origin: string
}

/** A healthy shard beats twice a second: a shorter limit would replace healthy shards. */
const HANG_LIMIT_MIN_MS = 1_000

/** Turns of 256 KiB, and messages with as much content, must fit, with all that is beside them. */
const ROOMS_MESSAGE_BYTES_MIN = 512 * 1024

/** The first is at most the second: otherwise one of the two would never act. */
const RISING: readonly (readonly [string, string])[] = [
  ['shard.restartBackoff.min', 'shard.restartBackoff.max'],
  ['actor.restartBackoff.min', 'actor.restartBackoff.max'],
  ['heap.passivateAt', 'heap.refuseAt'],
  ['heap.refuseAt', 'heap.replaceAt'],
  ['net.maxConnectionsPerAddress', 'net.maxConnections'],
  ['net.sniff.bytes', 'net.receiveBuffer'],
  ['net.sendBuffer.high', 'net.sendBuffer.max'],
  ['net.sendBuffer.max', 'net.memory'],
  ['ring.messageMax', 'ring.overflow'],
  ['bridge.redis.backoff.min', 'bridge.redis.backoff.max'],
  ['services.session-proxy.maxMessageBytes', 'ring.messageMax'],
  ['services.session-proxy.pingInterval', 'services.session-proxy.pingTimeout'],
  ['services.hub.pingInterval', 'services.hub.pingTimeout'],
]

export function checkRelations(rows: OptionRows, resolved: ReadonlyMap<string, Resolved>): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const setting = (key: string): unknown => resolved.get(key)?.value
  const refuse = (key: string, text: string): void => {
    problems.push(new ConfigProblem(key, resolved.get(key)?.origin ?? 'default', text))
  }
  const shown = (key: string): string => rows[key]?.kind.encode(setting(key)) ?? ''

  for (const [lower, upper] of RISING) {
    const [small, large] = [setting(lower), setting(upper)]
    if (typeof small !== 'number' || typeof large !== 'number' || small <= large) continue
    // Blame the one that was set: pointing at a default helps nobody.
    if (resolved.get(lower)?.origin === 'default') refuse(upper, `${shown(upper)} is below ${lower} (${shown(lower)})`)
    else refuse(lower, `${shown(lower)} is above ${upper} (${shown(upper)})`)
  }

  const hangLimitMs = setting('shard.hangLimit')
  if (typeof hangLimitMs === 'number' && hangLimitMs > 0 && hangLimitMs < HANG_LIMIT_MIN_MS)
    refuse(
      'shard.hangLimit',
      `${shown('shard.hangLimit')} is neither 0 nor at least ${formatDuration(HANG_LIMIT_MIN_MS)}`,
    )

  const messageMax = setting('ring.messageMax')
  if (
    setting('services.rooms.enabled') === true &&
    typeof messageMax === 'number' &&
    messageMax < ROOMS_MESSAGE_BYTES_MIN
  )
    refuse('ring.messageMax', `${shown('ring.messageMax')} is below the 512KiB that rooms need`)

  const storeProblem = sharedStoreProblem(setting)
  if (storeProblem !== undefined) refuse(...storeProblem)
  if (setting('bridge.kind') === 'redis' && setting('bridge.redis.url') === undefined) {
    refuse('bridge.kind', 'redis needs bridge.redis.url, or REDIS_URL in the environment')
  }

  if (
    Object.keys(setting('services.hub.demoUsers') ?? {}).length > 0 &&
    setting('services.hub.jwt.secret') === undefined
  ) {
    refuse('services.hub.demoUsers', 'there is no services.hub.jwt.secret to sign their tokens with')
  }

  for (const [key, { value }] of resolved) {
    if (rows[key]?.kind.members === undefined || value === undefined) continue
    for (const [member, path] of Object.entries(value as TlsFiles)) {
      if (!readable(path)) refuse(key, `${member}: the file ${path} cannot be read`)
    }
  }
  for (const path of (setting('modules') ?? []) as readonly string[]) {
    if (!readable(path)) refuse('modules', `the file ${path} cannot be read`)
  }

  for (const [key, other] of clashes(resolved)) refuse(key, `${shown(key)} is also ${other}`)
  return problems
}

/** What is wrong with the store that hosts share, and with which option. */
function sharedStoreProblem(setting: (key: string) => unknown): [string, string] | undefined {
  if (setting('store.redis.replicas') !== 0 && setting('store.redis.ack') === 'server') {
    return ['store.redis.replicas', 'counts only with store.redis.ack: disk']
  }
  if (setting('store.kind') !== 'redis') return undefined
  const url = setting('bridge.redis.url')
  if (setting('bridge.kind') === 'local' || typeof url !== 'string') {
    return ['store.kind', 'redis needs the redis bridge: set bridge.redis.url, or REDIS_URL in the environment']
  }
  const address = parseRedisAddress(url)
  if (typeof address !== 'string' && address.kind === 'cluster') {
    return [
      'store.kind',
      'redis does not work with redis+cluster://: ids rise over all chats, so they live in one place',
    ]
  }
  return undefined
}

/** Ports that two listeners of the same address would fight for, as [key, key of the first]. */
function clashes(resolved: ReadonlyMap<string, Resolved>): [string, string][] {
  const found: [string, string][] = []
  const taken = new Map<string, string>()
  for (const [key, { value }] of resolved) {
    if (!key.endsWith('.port') || value === 0) continue
    const section = key.slice(0, -'.port'.length)
    const service = /^services\.[^.]+/.exec(key)?.[0]
    if (service !== undefined && resolved.get(`${service}.enabled`)?.value === false) continue
    const protocol = section.endsWith('.udp') ? 'udp' : 'tcp'
    const socket = `${protocol} ${String(resolved.get(`${section}.host`)?.value)} ${String(value)}`
    const first = taken.get(socket)
    if (first === undefined) taken.set(socket, key)
    else found.push([key, first])
  }
  return found
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false // Whatever the reason, the answer is the same: it cannot be read.
  }
}
