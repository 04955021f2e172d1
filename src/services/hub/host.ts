// The hub's part in main: what it tells of the process as a whole, each thing in one place. Metrics, the state of threads
// and bridge, warnings of the log, and what administrators do. [PROTOCOLS 4.4]
import { setTimeout } from 'node:timers/promises'
import type { HealthReport } from '../../observe/report.ts'
import type { AdminAction, HostContext, HostPart } from '../service.ts'
import { actionData } from './action-data.ts'
import { CENSUS_ID, COUNT, hubCensus } from './census.ts'
import type { HubConfig } from './config.ts'
import { eventJson } from './event.ts'
import { HOST } from './host-name.ts'
import { LogEvents } from './log-event.ts'
import { publishEvent } from './publisher.ts'

/** How soon a shard that died is told of. */
const LOOK_MS = 500
/**
 * Main is not told what shards have sent, and its order to close overtakes their rings: events get so long to arrive. A
 * guess; they take a few milliseconds.
 */
const NEWS_MS = 100
const MICROSECONDS_PER_SECOND = 1e6

export function hubHost(context: HostContext<HubConfig>): HostPart {
  const { config, clock, publish } = context
  const isCluster = context.health().bridge?.kind === 'redis'
  const tell = (channel: string, eventType: string, data: object): void => {
    if (!config.channels.includes(channel)) return
    const json = JSON.stringify(data)
    // What is refused because the ring is full is news that nobody waits for.
    publishEvent({ publish }, channel, eventJson(channel, eventType, json, clock.wallMs()))
  }
  const ofHost = isCluster ? { host: HOST } : {}
  const status = new StatusWatch(context, (state, details) => {
    const { uptime_seconds, version } = context.health()
    tell('status', `status.${state}`, { status: state, uptime_seconds, version, ...details, ...ofHost })
  })
  const metrics = new MetricsTeller(context)
  const logs = new LogEvents(clock, (level, data) => tell('logs', `log.${level}`, { ...data, ...ofHost }))
  context.onLog(logs.lines)
  context.onAction(({ route, status: code, durationMs }: AdminAction) => {
    const error = code < 400 ? null : `status ${code}`
    tell('actions', 'action.executed', actionData({ type: route, result: { status: code }, durationMs, error }))
  })
  const everyMetrics = setInterval(() => {
    void metrics.data().then((data) => tell('metrics', 'system_metrics', { ...data, ...ofHost }))
  }, config.metricsInterval)
  const everyLook = setInterval(() => status.look(), LOOK_MS)
  return {
    async draining() {
      status.stopped()
      if (await isHeard(context, 'status')) await setTimeout(NEWS_MS)
    },
    stop() {
      clearInterval(everyMetrics)
      clearInterval(everyLook)
      logs.stop()
    },
  }
}

/** Somebody is subscribed; nobody waits for news that nobody hears. */
async function isHeard({ actor, config }: HostContext<HubConfig>, channel: string): Promise<boolean> {
  const index = config.channels.indexOf(channel)
  if (index < 0) return false
  // Whoever does not answer in time has had the time.
  const sums = await actor(hubCensus, CENSUS_ID)
    .within(NEWS_MS)
    .ask('tell', { by: null, values: [] })
    .catch((): readonly number[] => [])
  return (sums[COUNT.channels + index] ?? 0) > 0
}

type Told = (state: 'running' | 'stopped' | 'error', details: { readonly details?: object }) => void

/** Compares how things are with how they were. */
class StatusWatch {
  readonly #context: HostContext<HubConfig>
  readonly #told: Told
  readonly #down = new Set<number>()
  readonly #restarts = new Map<number, number>()
  #isBridgeDown = false

  constructor(context: HostContext<HubConfig>, told: Told) {
    this.#context = context
    this.#told = told
    for (const { id, restarts } of context.report().shards) this.#restarts.set(id, restarts)
    told('running', {})
  }

  look(): void {
    for (const { id, restarts, state } of this.#context.report().shards) {
      const isUp = state === 'ready' || state === 'draining'
      // One that was replaced at once was never seen to be down.
      const isAnew = restarts > (this.#restarts.get(id) ?? restarts)
      this.#restarts.set(id, restarts)
      if ((!isUp && state !== 'starting') || isAnew) this.#failed(id, state)
      if (isUp && this.#down.delete(id)) this.#told('running', { details: { shard: id, state } })
    }
    this.#lookAtBridge(this.#context.health())
  }

  stopped(): void {
    this.#told('stopped', { details: { reason: 'draining' } })
  }

  #failed(shard: number, state: string): void {
    if (this.#down.has(shard)) return
    this.#down.add(shard)
    this.#told('error', { details: { shard, state } })
  }

  #lookAtBridge({ bridge }: HealthReport): void {
    const isDown = bridge?.status === 'disconnected'
    if (isDown === this.#isBridgeDown) return
    this.#isBridgeDown = isDown
    this.#told(isDown ? 'error' : 'running', { details: { bridge: bridge?.kind, state: bridge?.status } })
  }
}

class MetricsTeller {
  readonly #context: HostContext<HubConfig>
  #cpu = process.cpuUsage()
  #atMs: number
  #published = 0

  constructor(context: HostContext<HubConfig>) {
    this.#context = context
    this.#atMs = context.clock.nowMs()
  }

  async data(): Promise<object> {
    const { clock, config, actor } = this.#context
    // Without an answer, because its shard has just died, the counts are not known.
    const sums = await actor(hubCensus, CENSUS_ID)
      .ask('tell', { by: null, values: [] })
      .catch((): readonly number[] => [])
    const seconds = Math.max(0.001, (clock.nowMs() - this.#atMs) / 1_000)
    const { user, system } = process.cpuUsage(this.#cpu)
    const published = sums[COUNT.published] ?? this.#published
    const events = Math.max(0, published - this.#published)
    this.#cpu = process.cpuUsage()
    this.#atMs = clock.nowMs()
    this.#published = published
    return {
      cpu_percent: rounded(((user + system) / MICROSECONDS_PER_SECOND / seconds) * 100),
      memory_mb: rounded(process.memoryUsage.rss() / 1024 ** 2),
      events_per_sec: rounded(events / seconds),
      total_tokens: null,
      total_connections: sums[COUNT.connections] ?? 0,
      total_channels: config.channels.length,
      total_subscriptions: sums.slice(COUNT.channels).reduce((sum, count) => sum + count, 0),
      buffered_events: sums[COUNT.buffered] ?? 0,
    }
  }
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
