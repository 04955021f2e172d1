// Which implementation of the store: the one place that knows them all.
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../observe/logger.ts'
import { MemoryStore } from './memory-store.ts'
import { SqliteStore } from './sqlite-store.ts'
import type { StoreEngine } from './store-engine.ts'

export interface EngineOptions {
  readonly kind: 'sqlite' | 'memory'
  /** File of the `sqlite` store. */
  readonly path: string
  readonly log: Logger
  readonly clock: Clock
}

/** Never throws: what is wrong with a file is logged, answered to every call, and may be mended meanwhile. */
export function createEngine({ kind, path, log, clock }: EngineOptions): StoreEngine {
  return kind === 'memory' ? new MemoryStore(clock) : new SqliteStore({ path, log, clock })
}
