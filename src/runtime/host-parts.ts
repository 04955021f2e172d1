// The parts that services have in main: started when all is ready, told of a drain, ended with the runtime. What one of
// them throws is logged; main never ends of it.
import type { LogSink } from '../observe/log-sink.ts'
import { errorFields, type Logger } from '../observe/logger.ts'
import type { AdminAction, HostContext, HostPart, ServiceDefinition } from '../services/service.ts'
import type { FreshConfig } from './fresh-config.ts'

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
      if (service.host === undefined || !listeners.some(({ serviceIndex }) => serviceIndex === index)) continue
      const part = service.host({
        ...context,
        config: own[service.name],
        onLog: (listener) => sink.listen(listener),
        onAction: (listener) => void this.#actions.push(listener),
      })
      this.#parts.push(part)
    }
  }

  readonly acted = (action: AdminAction): void => {
    for (const listener of this.#actions) this.#safely(() => listener(action))
  }

  draining(): void {
    for (const part of this.#parts) this.#safely(() => part.draining?.())
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
      this.#options.log.error('services.host_failed', errorFields(error))
    }
  }
}
