// The parts that services have in main: started when all is ready, told of a drain, ended with the runtime. What one of
// them throws is logged; main never ends of it.
import { setTimeout } from 'node:timers/promises'
import type { LogSink } from '../observe/log-sink.ts'
import { errorFields, type Logger } from '../observe/logger.ts'
import type { AdminAction, HostContext, HostPart, ServiceDefinition } from '../services/service.ts'
import type { FreshConfig } from './fresh-config.ts'

/** A guess: news take milliseconds, and a drain must not wait for a part that hangs. */
const DRAINING_MS_MAX = 1_000

export interface HostPartsOptions {
  readonly services: readonly ServiceDefinition[]
  readonly log: Logger
  readonly sink: LogSink
  readonly context: Omit<HostContext, 'config' | 'onLog' | 'onAction'>
}

export class HostParts {
  readonly #options: HostPartsOptions
  readonly #actions: ((action: AdminAction) => void)[] = []
  #parts: HostPart[] = []

  constructor(options: HostPartsOptions) {
    this.#options = options
  }

  start({ config, listeners }: FreshConfig): void {
    const { services, sink, context } = this.#options
    const own = (config as unknown as { services: Record<string, unknown> }).services
    for (const [index, service] of services.entries()) {
      const { host, name } = service
      if (host === undefined || !listeners.some(({ serviceIndex }) => serviceIndex === index)) continue
      this.#safely(() => {
        const part = host({
          ...context,
          config: own[name],
          onLog: (listener) => sink.listen(listener),
          onAction: (listener) => void this.#actions.push(listener),
        })
        this.#parts.push(part)
      })
    }
  }

  readonly acted = (action: AdminAction): void => {
    for (const listener of this.#actions) this.#safely(() => listener(action))
  }

  /** What they have to say of it is on its way. Never rejects, and never holds up a drain for long. */
  async draining(): Promise<void> {
    const said = this.#parts.map(async (part) => part.draining?.())
    const all = Promise.all(said.map((one) => one.catch((error: unknown) => this.#failed(error))))
    const late = new AbortController()
    await Promise.race([all, setTimeout(DRAINING_MS_MAX, undefined, { signal: late.signal }).catch(() => {})])
    late.abort()
  }

  stop(): void {
    const parts = this.#parts
    this.#parts = []
    for (const part of parts) this.#safely(() => part.stop())
  }

  #safely(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    this.#options.log.error('services.host_failed', errorFields(error))
  }
}
