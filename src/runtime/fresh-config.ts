// What a reload starts its threads with: configuration, modules and listeners, read anew in a thread of its own, because
// main's copies of modules never change. Refused when something differs that only a restart can change.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import * as BRIDGE_LAYOUT from '../bridge/bridge-record.ts'
import { bridgeKindOf } from '../config/automatic.ts'
import { ERRORS, type ErrorCode, PolyloopError } from '../lib/errors.ts'
import type { ListenerSpec } from '../net/listener-spec.ts'
import { RECORD_LAYOUT } from '../net/record.ts'
import { FIGURE_LAYOUT } from '../observe/figure.ts'
import * as CALL_LAYOUT from '../ring/call-record.ts'
import { RING_LAYOUT_VERSION } from '../ring/record.ts'
import * as STORE_LAYOUT from '../store/store-record.ts'
import { within } from './control.ts'
import { loadEffectiveConfig } from './effective-config.ts'
import { entryPoint } from './entry-point.ts'
import { listenersOf } from './listener-list.ts'
import { threadNeedOf } from './thread-need.ts'
import type { ThreadPlan } from './thread-spawner.ts'

/** As long as a thread has to load the same modules. */
const READ_MS_MAX = 30_000

/** Where a configuration came from: enough to read it again. */
export interface ConfigSource {
  readonly path: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly flags: readonly string[]
  readonly modules: readonly string[]
  readonly only: readonly string[] | undefined
}

export interface FreshConfig extends ThreadPlan {
  readonly services: readonly string[]
  /** Of shared memory and records: threads with another one cannot work side by side. */
  readonly layout: string
}

/** What the thread answers. */
export type FreshAnswer =
  | { readonly fresh: FreshConfig }
  | {
      readonly code: ErrorCode | undefined
      readonly details: Readonly<Record<string, unknown>>
      readonly message: string
    }

// The threads of store and bridge stay: new shards must call what they know.
export const LAYOUT = [
  FIGURE_LAYOUT,
  RING_LAYOUT_VERSION,
  RECORD_LAYOUT,
  JSON.stringify(CALL_LAYOUT),
  JSON.stringify(STORE_LAYOUT),
  JSON.stringify(BRIDGE_LAYOUT),
].join(' ')

/** Options that main or the shared memory are made with. */
const FIXED: readonly string[] = [
  'admin',
  'bridge',
  'log.pretty',
  'net.backlog',
  'net.handoff',
  'offload',
  'ring.capacity',
  'ring.controlCapacity',
  'ring.doorbell',
  'store',
]

/** Runs in the thread. */
export async function loadFresh(source: ConfigSource, read: (path: string) => string): Promise<FreshConfig> {
  const { path, environment, flags, modules, only } = source
  const file = path === undefined ? undefined : { path, text: read(path) }
  const { config, services, actors } = await loadEffectiveConfig({ file, environment, flags }, modules)
  const listeners = listenersOf(services, (config as unknown as { services: unknown }).services, only)
  return {
    config,
    listeners,
    ...threadNeedOf({
      services,
      listeners,
      actors,
      modules: config.modules,
      hasHosts: bridgeKindOf(config.bridge) === 'redis',
      sharesStore: config.store.kind === 'redis',
    }),
    services: services.map(({ name }) => name),
    layout: LAYOUT,
  }
}

/** Throws CONFIG_INVALID or MODULE_INVALID as at the start, and RELOAD_REFUSED. */
export async function readFresh(source: ConfigSource, current: FreshConfig): Promise<FreshConfig> {
  const worker = new Worker(entryPoint('fresh-config'), { workerData: source, name: 'polyloop-config' })
  try {
    const [answer] = await within(READ_MS_MAX, 'read', 'config', Promise.race([answered(worker), ended(worker)]))
    if (!('fresh' in answer)) {
      if (answer.code !== undefined && answer.code in ERRORS) throw new PolyloopError(answer.code, answer.details)
      throw new PolyloopError('RELOAD_REFUSED', { reason: answer.message })
    }
    const reason = conflictOf(answer.fresh, current)
    if (reason !== undefined) throw new PolyloopError('RELOAD_REFUSED', { reason })
    return answer.fresh
  } finally {
    await worker.terminate()
  }
}

function answered(worker: Worker): Promise<[FreshAnswer]> {
  return once(worker, 'message') as Promise<unknown[]> as Promise<[FreshAnswer]>
}

/** A module may end the thread that loads it, or wait for something that never comes. */
async function ended(worker: Worker): Promise<never> {
  await once(worker, 'exit')
  throw new PolyloopError('RELOAD_REFUSED', { reason: 'the thread that read the configuration ended' })
}

function conflictOf(fresh: FreshConfig, current: FreshConfig): string | undefined {
  if (fresh.layout !== current.layout) return 'the new code lays out shared memory or records otherwise'
  const lost = current.services.findIndex((name, index) => fresh.services[index] !== name)
  if (lost >= 0) return `the service ${current.services[lost]} is gone or has another place in the list`
  const changed = FIXED.filter((key) => !isEqual(valueAt(fresh.config, key), valueAt(current.config, key)))
  if (changed.length > 0) return `changed: ${changed.join(', ')}`
  const listeners = (of: FreshConfig): unknown => of.listeners.map((listener) => fixedPart(listener))
  if (!isEqual(listeners(fresh), listeners(current))) return 'the listeners changed'
  return undefined
}

/** All but what a new shard can do otherwise than the old one. */
function fixedPart({ service, transport, host, port, tls, proxyProtocol }: ListenerSpec): unknown {
  return { service, transport, host, port, isSecure: tls !== undefined, proxyProtocol }
}

function valueAt(config: object, key: string): unknown {
  return key.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], config)
}

function isEqual(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
