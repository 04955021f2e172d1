// The processes of a cluster on one machine: Redis first, then all hosts at once; the end in the other order.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { CoreConfig } from '../../config/core-options.ts'
import { parseRedisAddress } from '../../lib/redis-address.ts'
import type { CommandContext, ExitStatus } from '../command.ts'
import { addressLines, guideLines } from './guide.ts'
import { worthALook } from './log-line.ts'
import { Member } from './member.ts'
import type { HostPlan } from './plan.ts'

const REDIS_GRACE_MS = 10_000
/** A host drains for `shutdown.grace`; then it has so long to write its last lines. */
const LAST_LINES_MS = 5_000
const REDIS_READY = 'Ready to accept connections'

export interface ClusterOptions {
  readonly plans: readonly HostPlan[]
  /** Undefined: it is somebody else's. */
  readonly redis: { readonly program: string; readonly port: number } | undefined
  readonly redisUrl: string
  /** File and `key=value` of all hosts, and what they come to. */
  readonly config: string
  readonly settings: readonly string[]
  readonly loaded: CoreConfig
  /** Folder of the package. */
  readonly root: string
  readonly data: string
  /** Shows all lines of all logs. */
  readonly isVerbose: boolean
  readonly context: CommandContext
}

export class Cluster {
  readonly #options: ClusterOptions
  readonly #redis: Member | undefined
  readonly #hosts: readonly Member[]
  readonly #interrupt = Promise.withResolvers<void>()
  #signals = 0

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#redis = options.redis === undefined ? undefined : this.#redisMember(options.redis.program, options.redis.port)
    this.#hosts = options.plans.map((plan) => this.#hostMember(plan))
  }

  async run(): Promise<ExitStatus> {
    const { context, redisUrl, data } = this.#options
    const onSignal = (): void => {
      this.#signals++
      this.#interrupt.resolve()
      if (this.#signals > 1) this.#killAll()
    }
    context.takeSignals(onSignal)
    context.takeHangups(onSignal)
    process.once('exit', () => this.#killAll())
    this.#say(`${this.#hosts.length} hosts, Redis at ${shownUrl(redisUrl)}, logs and data in ${data}`)
    const isUp = await Promise.race([this.#start(), this.#interrupt.promise.then(() => true)])
    if (isUp && this.#signals === 0) {
      this.#guide()
      await this.#interrupt.promise
    }
    this.#say('ending')
    const isClean = await this.#end()
    this.#say(isClean ? 'ended' : 'ended, but not everything in good order')
    return isUp && isClean ? 0 : 1
  }

  async #start(): Promise<boolean> {
    if (this.#redis !== undefined && !(await this.#begin(this.#redis))) return false
    if (this.#signals > 0) return true
    const all = await Promise.all(this.#hosts.map((host) => this.#begin(host)))
    return all.every((isReady) => isReady)
  }

  async #begin(member: Member): Promise<boolean> {
    if (await member.start()) return true
    if (this.#signals === 0) for (const line of member.lastLines) this.#options.context.stderr.write(`  ${line}\n`)
    return false
  }

  /** Hosts first: they say good-bye to their clients, and to Redis. */
  async #end(): Promise<boolean> {
    const graceMs = this.#options.loaded.shutdown.grace + LAST_LINES_MS
    const hosts = await Promise.all(this.#hosts.map((host) => host.stop(graceMs)))
    const redis = await this.#redis?.stop(REDIS_GRACE_MS)
    return [...hosts, redis ?? true].every((isClean) => isClean)
  }

  #killAll(): void {
    for (const member of [...this.#hosts, this.#redis]) member?.kill()
  }

  #guide(): void {
    const { context, plans, loaded, redisUrl } = this.#options
    const lines = guideLines({
      plans,
      redisUrl: shownUrl(redisUrl),
      isChatShared: loaded.store.kind === 'redis',
      hasToken: loaded.admin.token !== undefined,
      pidOf: (host) => this.#hosts[host - 1]?.pid,
    })
    const all = ['', ...addressLines({ plans }), '', ...lines, 'Ctrl-C ends all of it.', '']
    context.stdout.write(`${all.join('\n')}\n`)
  }

  #redisMember(program: string, port: number): Member {
    const { data, context, isVerbose } = this.#options
    const folder = join(data, 'redis')
    mkdirSync(folder, { recursive: true })
    const settings = { port, bind: '127.0.0.1', dir: folder, appendonly: 'yes', appendfsync: 'always' }
    const line = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)])
    return new Member({
      name: 'redis',
      line: [program, ...line, '--save', ''],
      environment: context.environment,
      logFile: join(data, 'redis.log'),
      isReady: (text) => text.includes(REDIS_READY),
      onLine: (text) => {
        if (isVerbose) this.#say(`redis: ${text}`)
      },
      onState: (text) => this.#say(text),
    })
  }

  #hostMember({ number, settings }: HostPlan): Member {
    const { root, config, context, data, redisUrl, isVerbose } = this.#options
    mkdirSync(join(data, `host-${number}`), { recursive: true })
    const flags = [...this.#options.settings, ...settings].flatMap((setting) => ['--set', setting])
    const name = `host ${number}`
    return new Member({
      name,
      line: [process.execPath, join(root, 'bin', 'polyloop.js'), 'start', '--config', config, ...flags],
      // Not as a flag: everybody on the machine sees flags, and there may be a password in it.
      environment: { ...context.environment, POLYLOOP_BRIDGE_REDIS_URL: redisUrl },
      logFile: join(data, `host-${number}.log`),
      isReady: (text) => text.includes('"event":"runtime.ready"'),
      onLine: (text) => {
        const shown = isVerbose ? text : worthALook(text)
        if (shown !== undefined) this.#say(`${name}: ${shown}`)
      },
      onState: (text) => this.#say(text),
    })
  }

  #say(text: string): void {
    this.#options.context.stdout.write(`${text}\n`)
  }
}

/** Without what is secret. */
function shownUrl(url: string): string {
  const address = parseRedisAddress(url)
  return typeof address === 'string' ? '' : address.shown
}
