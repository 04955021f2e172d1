// Which ports and folders each host of a cluster on one machine has: what the configuration says for the first one, and a
// step further for each of the others. Pure.
import { join } from 'node:path'
import type { EffectiveConfig } from '../effective-config.ts'

/** From the ports of one host to those of the next. */
export const PORT_STEP = 100
/** Beyond it the ports of two services would meet. */
export const HOSTS_MAX = 9
/** Of the redis-server that the tool starts: not 6379, where somebody else's may be. */
export const REDIS_PORT = 6_390
const PORT_MAX = 65_535
const READY_LEVELS: readonly string[] = ['trace', 'debug', 'info']

/** Options that name what only one process may use: below the folder of its host. */
const OWN_FILES: Readonly<Record<string, string>> = {
  'store.path': 'polyloop.db',
  'services.rooms.spoolDirectory': 'rooms',
}

/** Options that the tool itself sets on each host, and why nobody else can. */
const TOOL_OPTIONS: Readonly<Record<string, string>> = {
  'bridge.kind': 'hosts are a cluster by their Redis',
  'bridge.redis.url': 'the Redis of all hosts is one of its own, or that of --redis-url',
  'log.pretty': 'the tool reads the logs of its hosts; --verbose shows them',
  ...Object.fromEntries(Object.keys(OWN_FILES).map((key) => [key, 'each host has its own, in the folder of --data'])),
}

export interface PlannedListener {
  /** `chat http`, `admin`. */
  readonly name: string
  readonly protocol: 'tcp' | 'udp'
  readonly host: string
  readonly port: number
}

export interface HostPlan {
  /** From 1. */
  readonly number: number
  readonly listeners: readonly PlannedListener[]
  /** `key=value`, for `--set`. */
  readonly settings: readonly string[]
}

export interface PlanRequest {
  readonly hosts: number
  /** Added to every port. */
  readonly shift: number
  /** Folder of all hosts. */
  readonly data: string
  readonly cores: number
}

/** What the plan needs of a configuration. */
export type PlannedConfig = Pick<EffectiveConfig, 'config' | 'services' | 'options'>

export function hostPlans(loaded: PlannedConfig, request: PlanRequest): HostPlan[] {
  const first = listenersOf(loaded)
  return Array.from({ length: request.hosts }, (_, index) => {
    const number = index + 1
    const offset = index * PORT_STEP + request.shift
    // 0 is a free one, on every host.
    const listeners = first.map((one) => ({ ...one, port: one.port === 0 ? 0 : one.port + offset }))
    const ports = listeners.map(({ name, port }) => `${keyOf(name)}.port=${port}`)
    return { number, listeners, settings: [...ports, ...commonSettings(loaded, request, number)] }
  })
}

/** Which `key=value` for all hosts would do nothing, or take them apart. Ports are none of them: they are those of host 1. */
export function settingProblems(settings: readonly string[]): string[] {
  return settings.flatMap((setting) => {
    const [key = '', value = ''] = setting.split('=')
    const reason = TOOL_OPTIONS[key]
    if (reason !== undefined) return [`--set ${key}: ${reason}`]
    if (key !== 'log.level' || READY_LEVELS.includes(value)) return []
    return [`--set ${key} is one of ${READY_LEVELS.join(', ')}: that a host is ready is a line of its log`]
  })
}

/** What is wrong with it: ports that do not exist, or that two want. */
export function planProblems(plans: readonly HostPlan[], redisPort: number | undefined): string[] {
  const problems: string[] = []
  const owners = new Map<string, string>()
  if (redisPort !== undefined) owners.set(`tcp ${redisPort}`, 'redis')
  for (const { number, listeners } of plans) {
    for (const { name, protocol, port } of listeners) {
      const owner = `${name} of host ${number}`
      if (port === 0) continue
      if (port > PORT_MAX) problems.push(`${owner}: there is no port ${port}`)
      const other = owners.get(`${protocol} ${port}`)
      if (other !== undefined) problems.push(`port ${port} is that of ${other} and of ${owner}`)
      owners.set(`${protocol} ${port}`, owner)
    }
  }
  return problems
}

function listenersOf({ config, services }: PlannedConfig): PlannedListener[] {
  const sections = (config as unknown as { services: Readonly<Record<string, Readonly<Record<string, unknown>>>> })
    .services
  const found: PlannedListener[] = []
  for (const { name, listeners } of services) {
    const section = sections[name]
    if (section?.enabled !== true) continue
    for (const transport of Object.keys(listeners)) {
      const { host, port } = section[transport] as { readonly host: string; readonly port: number }
      found.push({ name: `${name} ${transport}`, protocol: transport === 'udp' ? 'udp' : 'tcp', host, port })
    }
  }
  const { host, port } = config.admin
  return [...found, { name: 'admin', protocol: 'tcp', host, port }]
}

function commonSettings({ config, options }: PlannedConfig, request: PlanRequest, number: number): string[] {
  const { data, cores, hosts } = request
  const settings = ['bridge.kind=redis', 'log.pretty=false']
  // Their readiness is a line of this level.
  if (!READY_LEVELS.includes(config.log.level)) settings.push('log.level=info')
  // All of them share the cores of this machine.
  if (config.shards === 'auto') settings.push(`shards=${Math.max(1, Math.floor((cores - 1) / hosts))}`)
  for (const [key, file] of Object.entries(OWN_FILES)) {
    if (key in options) settings.push(`${key}=${join(data, `host-${number}`, file)}`)
  }
  return settings
}

function keyOf(name: string): string {
  return name === 'admin' ? name : `services.${name.replace(' ', '.')}`
}
