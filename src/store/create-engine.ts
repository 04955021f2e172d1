// Which implementation of the store: the one place that knows them all.
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../observe/logger.ts'
import { MemoryStore } from './memory-store.ts'
import type { StoreEngine } from './store-engine.ts'

export interface EngineOptions {
  readonly kind: 'sqlite' | 'memory'
  /** File of the `sqlite` store. */
  readonly path: string
  readonly log: Logger
  readonly clock: Clock
}

export function createEngine({ clock }: EngineOptions): StoreEngine {
  return new MemoryStore(clock)
}
