// What the admin endpoint shows and controls, and services' parts in main work with: the runtime, as operators see it.
import type { Bridge } from '../bridge/bridge.ts'
import { systemClock } from '../lib/clock.ts'
import { mergeActorReports } from '../observe/actor-report.ts'
import type { AdminRoute } from '../observe/admin-route.ts'
import type { AdminView } from '../observe/admin-server.ts'
import type { Readiness } from '../observe/report.ts'
import type { HostContext, ServiceDefinition } from '../services/service.ts'
import type { Remote } from './control.ts'
import type { FreshConfig } from './fresh-config.ts'
import type { Runtime } from './runtime.ts'
import type { ShardControl } from './thread-data.ts'
import { tryCall } from './thread-spawner.ts'

/** Shards that answer later are not in the report. */
const REPORT_MS = 2_000

export interface AdminShards {
  readonly readiness: () => Readiness
  readonly shards: () => Iterable<Remote<ShardControl>>
  readonly shardOf: (shard: number) => Remote<ShardControl> | undefined
}

export function adminViewOf(runtime: Runtime, { readiness, shards, shardOf }: AdminShards): AdminView {
  return {
    health: () => runtime.health(),
    readiness,
    runtime: () => runtime.report(),
    metrics: () => runtime.metrics(),
    restart: (shard) => runtime.restart(shard),
    drain: () => {
      void runtime.drain()
      return 'accepted'
    },
    reload: () => runtime.reload(),
    shards: (count) => runtime.setShards(count),
    migrate: (shard, { to, connections }) => runtime.migrate(shard, to, connections),
    actors: async () => {
      const asked = [...shards()].map((shard) => tryCall(runtime.log, 'actors', 'shard', REPORT_MS, shard.actors()))
      return mergeActorReports((await Promise.all(asked)).filter((report) => report !== undefined))
    },
    profile: async (shard, seconds) => shardOf(shard)?.profile(seconds),
  }
}

/** What the services that are enabled add to it. */
export function adminRoutesOf(
  services: readonly ServiceDefinition[],
  { config, listeners }: FreshConfig,
  bridge: Bridge,
): readonly AdminRoute[] {
  const own = (config as unknown as { services: Record<string, unknown> }).services
  const enabled = services.filter((_, index) => listeners.some(({ serviceIndex }) => serviceIndex === index))
  return enabled.flatMap((service) => service.adminRoutes?.({ config: own[service.name], bridge }) ?? [])
}

export function hostContextOf(
  runtime: Pick<Runtime, 'publish' | 'actor' | 'health' | 'report'>,
  version: string,
): Omit<HostContext, 'config' | 'onLog' | 'onAction'> {
  return {
    clock: systemClock,
    version,
    publish: (topic, message) => runtime.publish(topic, message),
    actor: (definition, id) => runtime.actor(definition, id),
    health: () => runtime.health(),
    report: () => runtime.report(),
  }
}
