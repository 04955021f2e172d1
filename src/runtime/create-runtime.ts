// The runtime as a library: one call from a user's own program.
import { createRequire } from 'node:module'
import { readConfigFile } from '../config/loader.ts'
import { createLogSink, type LogStream } from '../observe/log-sink.ts'
import { loadEffectiveConfig } from './effective-config.ts'
import { Runtime } from './runtime.ts'

export interface CreateRuntimeOptions {
  /** Number of shards; default `auto`: the available cores minus one. */
  readonly shards?: number
  /** Files with your services and actors; each shard imports them. */
  readonly modules?: readonly (URL | string)[]
  /** A YAML file, as `polyloop start --config`. */
  readonly configFile?: string
  /** Options by their keys, for example `{ 'services.echo.tcp.port': 0 }`; they win over file and environment. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>
  /** Names of the services to run; default all that are enabled. */
  readonly only?: readonly string[]
  /** Where log lines go; default stdout. */
  readonly logStream?: LogStream
}

/**
 * Starts a runtime in this process and answers when all listeners are open. Rejects with CONFIG_INVALID,
 * MODULE_INVALID, LISTEN_FAILED or THREAD_FAILED; everything is stopped again then.
 */
export async function createRuntime(options: CreateRuntimeOptions = {}): Promise<Runtime> {
  const modules = (options.modules ?? []).map(String)
  const settings = Object.entries(options.settings ?? {}).map(([key, value]) => `${key}=${value}`)
  const flags = [...settings, ...(options.shards === undefined ? [] : [`shards=${options.shards}`])]
  const file = options.configFile === undefined ? undefined : readConfigFile(options.configFile)
  const loaded = await loadEffectiveConfig({ file, environment: process.env, flags }, modules)
  const { config, services, actors, topics } = loaded
  const sink = createLogSink({ pretty: config.log.pretty, stream: options.logStream ?? process.stdout })
  const { version } = createRequire(import.meta.url)('polyloop/package.json') as { version: string }
  const { only } = options
  const source = { path: options.configFile, environment: { ...process.env }, flags, modules, only }
  const runtime = new Runtime({ config, services, actors, topics, version, sink, only, source })
  await runtime.start()
  void runtime.ended.then(() => sink.close())
  return runtime
}
