// Main's side of the store's thread: its start, its last flush, and who needs it at all.
import type { MessagePort } from 'node:worker_threads'
import type { ActorDefinition } from '../actor/definition.ts'
import { THREAD } from '../lib/thread.ts'
import type { ListenerSpec } from '../net/listener-spec.ts'
import type { Logger } from '../observe/logger.ts'
import type { ServiceDefinition } from '../services/service.ts'
import { controlOf, type Remote } from './control.ts'
import type { Supervisor } from './supervisor.ts'
import type { StoreControl, StoreUser } from './thread-data.ts'
import { type ThreadSpawner, tryCall } from './thread-spawner.ts'

export interface StoreLineOptions {
  readonly log: Logger
  readonly spawner: ThreadSpawner
  readonly supervisor: () => Supervisor
  readonly timeoutMs: () => number
}

export class StoreLine {
  readonly #options: StoreLineOptions
  #control: Remote<StoreControl> | undefined
  #isRunning = false

  constructor(options: StoreLineOptions) {
    this.#options = options
  }

  /** While its thread lives. */
  get control(): Remote<StoreControl> | undefined {
    return this.#control
  }

  /** Starts the thread, unless it was started before. Rejects, with nothing of it left, when that fails. */
  async start(): Promise<void> {
    if (this.#isRunning) return
    const supervisor = this.#options.supervisor()
    try {
      await supervisor.start(THREAD.store)
      this.#isRunning = true
    } catch (error) {
      await supervisor.end(THREAD.store)
      throw error
    }
  }

  /** Has a thread begin that was spawned. */
  async begin(port: MessagePort): Promise<void> {
    const control = controlOf<StoreControl>(port)
    await control.start()
    this.#control = control
  }

  down(): void {
    this.#control = undefined
  }

  /** Has it do what waits, and close its file. False: it has died, or does not answer in time. */
  async close(graceMs: number): Promise<boolean> {
    if (!this.#isRunning) return true
    const { log, spawner, timeoutMs } = this.#options
    const died = spawner.exited(THREAD.store)?.then(() => undefined)
    const answer = this.#control?.close().then(() => true)
    const isClosed = await tryCall(log, 'close', 'store', graceMs + timeoutMs(), answer && Promise.race([answer, died]))
    return isClosed === true
  }
}

/** Who may call the store: nobody, then there is none; actors, then it is opened when one does; or services. */
export function storeUserOf(
  services: readonly ServiceDefinition[],
  listeners: readonly ListenerSpec[],
  actors: readonly ActorDefinition[],
): StoreUser {
  const enabled = services.filter((_, index) => listeners.some(({ serviceIndex }) => serviceIndex === index))
  if (enabled.some(({ usesStore }) => usesStore === true)) return 'services'
  return actors.length > 0 || enabled.some((service) => service.actors !== undefined) ? 'actors' : 'nobody'
}
