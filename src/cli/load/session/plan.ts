// What a load test of the session proxy will do, from the positional form or from flags: every value checked against its
// limit, all problems at once. Pure: no socket, no clock.
import type { RedisAddress } from '../../../lib/redis-address.ts'
import { flagOf, OptionReader } from '../../option-reader.ts'
import { redisAddressOf } from '../../redis-address.ts'
import type { LoadTestOptions, PlanSurroundings } from '../plan.ts'

export const WORKERS_MAX = 50_000
const TIME_MS_MAX = 3_600_000
const INTERVAL_MS_MIN = 1
const REDIS_TIMEOUT_MS_MAX = 60_000
const REDIS_CONNECTIONS_MAX = 10_000
/** One for commands, one for channels. */
const REDIS_CONNECTIONS_NEEDED = 2

/** The numbers of the positional form, in their order, and the flags of the same meaning. */
export const POSITIONS = [
  ['num_workers', 'workers'],
  ['warmup_secs', 'warmup'],
  ['test_duration_secs', 'testDuration'],
  ['message_interval_secs', 'messageInterval'],
  ['ws_host', 'wsHost'],
  ['ws_port', 'wsPort'],
] as const satisfies readonly (readonly [string, keyof SessionLoadOptions])[]

/** The flags of the load test of the session proxy, as typed. */
export interface SessionLoadOptions {
  readonly workers?: string | number
  readonly warmup?: string | number
  readonly testDuration?: string | number
  readonly messageInterval?: string | number
  readonly drainTimeout?: string | number
  readonly shutdownTimeout?: string | number
  readonly wsHost?: string
  readonly wsPort?: string | number
  readonly redisUrl?: string
  readonly redisMaxConnections?: string | number
  readonly redisConnectionTimeoutMs?: string | number
  readonly redisResponseTimeoutMs?: string | number
  readonly jitter?: boolean
  readonly seed?: string | number
  readonly json?: boolean
}

/** Flags that mean something without a URL or a scenario. */
const OWN_FLAGS = {
  workers: true,
  warmup: true,
  testDuration: true,
  messageInterval: true,
  drainTimeout: true,
  shutdownTimeout: true,
  wsHost: true,
  wsPort: true,
  redisUrl: true,
  redisMaxConnections: true,
  redisConnectionTimeoutMs: true,
  redisResponseTimeoutMs: true,
  jitter: true,
  seed: true,
  json: true,
} as const satisfies Record<keyof SessionLoadOptions, true>
/** Of these, what the general generator knows too. */
const SHARED_FLAGS: ReadonlySet<string> = new Set(['warmup', 'seed', 'json', 'redisUrl'])

export interface SessionPlan {
  readonly workers: number
  readonly warmupMs: number
  readonly durationMs: number
  readonly intervalMs: number
  /** Pauses between 0 and the interval instead of whole ones. */
  readonly jitter: boolean
  readonly drainTimeoutMs: number
  readonly shutdownTimeoutMs: number
  /** As in a URL: an IPv6 address in brackets. */
  readonly host: string
  readonly port: number
  readonly redis: RedisAddress
  readonly redisConnectTimeoutMs: number
  readonly redisAnswerTimeoutMs: number
  readonly seed: number
}

export type SessionPlanResult =
  | { readonly plan: SessionPlan; readonly problems?: never }
  | { readonly plan?: never; readonly problems: readonly string[] }

/** The session proxy is loaded when there is no target, or when the first one is a number. */
export function isSessionLoad(targets: readonly string[]): boolean {
  return targets[0] === undefined || /^[\d.]/.test(targets[0])
}

/** Flags that only a load test of the session proxy knows, for the general one to refuse. */
export function foreignFlagsOf(options: SessionLoadOptions): string[] {
  const names = Object.keys(OWN_FLAGS) as (keyof SessionLoadOptions)[]
  return names.filter((name) => !SHARED_FLAGS.has(name) && options[name] !== undefined).map(flagOf)
}

export function parseSessionPlan(
  targets: readonly string[],
  given: SessionLoadOptions & LoadTestOptions,
  around: Omit<PlanSurroundings, 'cores'>,
): SessionPlanResult {
  const positional = Object.fromEntries(POSITIONS.map(([, flag], index) => [flag, targets[index]]))
  const flags = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  // A flag stands behind the numbers, so it wins.
  const reader = new OptionReader<SessionLoadOptions>({ ...positional, ...flags })
  if (targets.length !== 0 && targets.length !== POSITIONS.length) {
    reader.problem(`the numbers are ${POSITIONS.map(([name]) => `<${name}>`).join(' ')}, all of them`)
  }
  const strange = Object.keys(flags).filter((name) => !(name in OWN_FLAGS))
  if (strange.length > 0) reader.problem(`${strange.map(flagOf).join(', ')}: only with a URL or a scenario`)
  const name = reader.options.wsHost ?? '127.0.0.1'
  const host = name.includes(':') && !name.startsWith('[') ? `[${name}]` : name
  if (!/^[A-Za-z0-9._:[\]-]+$/.test(host) || !URL.canParse(`ws://${host}:1/`)) {
    reader.problem(`--ws-host is a name or an address, not "${name}"`)
  }
  reader.whole('redisMaxConnections', 30, REDIS_CONNECTIONS_NEEDED, REDIS_CONNECTIONS_MAX)
  const redis = redisAddressOf(given.redisUrl, around.environment, (text) => reader.problem(text))
  const plan = {
    workers: reader.whole('workers', 100, 1, WORKERS_MAX),
    warmupMs: reader.duration('warmup', 5_000, 0, TIME_MS_MAX),
    durationMs: reader.duration('testDuration', 30_000, 0, TIME_MS_MAX),
    intervalMs: reader.duration('messageInterval', 1_000, INTERVAL_MS_MIN, TIME_MS_MAX),
    jitter: given.jitter === true,
    drainTimeoutMs: reader.duration('drainTimeout', 30_000, 0, TIME_MS_MAX),
    shutdownTimeoutMs: reader.duration('shutdownTimeout', 10_000, 0, TIME_MS_MAX),
    host,
    port: reader.whole('wsPort', 4040, 1, 65_535),
    redisConnectTimeoutMs: reader.whole('redisConnectionTimeoutMs', 5_000, 1, REDIS_TIMEOUT_MS_MAX),
    redisAnswerTimeoutMs: reader.whole('redisResponseTimeoutMs', 3_000, 1, REDIS_TIMEOUT_MS_MAX),
    seed: reader.whole('seed', around.seed, 0, 2 ** 32 - 1),
  }
  if (redis === undefined || reader.problems.size > 0) return { problems: [...reader.problems] }
  return { plan: { ...plan, redis } }
}

/** What a worker publishes without jitter: at once, and after each interval until the duration is over. */
export function messagesPerWorker({ durationMs, intervalMs }: SessionPlan): number {
  return Math.floor(durationMs / intervalMs) + 1
}
