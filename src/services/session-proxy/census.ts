// How many sessions are connected in the whole process: each shard tells one actor what it has, and /health asks it. A
// thread that died tells nothing any more, so what it told is forgotten soon.
import type { ActorRef } from '../../actor/actor-ref.ts'
import type { ActorContext } from '../../actor/context.ts'
import { defineActor } from '../../actor/definition.ts'
import type { ServiceContext } from '../service.ts'

/** Changes within this time are told at once; so much may /health be behind. */
const TOLD_EVERY_MS = 20
/** What stays the same is told again, for an actor that begins anew because its shard died. */
const REPEATED_EVERY_MS = 5_000
const FORGOTTEN_AFTER_MS = 3 * REPEATED_EVERY_MS
const CENSUS_ID = 'all'

interface Count {
  readonly size: number
  readonly toldMs: number
}
interface Told {
  /** Names a thread, in one of its lives. */
  readonly by: string
  readonly size: number
}

export type CensusHandlers = {
  readonly tell: (counts: Map<string, Count>, told: Told, context: ActorContext) => void
  readonly total: (counts: Map<string, Count>, none: undefined, context: ActorContext) => number
}

export const censusActor = defineActor<Map<string, Count>, CensusHandlers>({
  kind: 'session-proxy-census',
  create: () => new Map(),
  on: {
    tell(counts, { by, size }, { clock }) {
      if (size === 0) counts.delete(by)
      else counts.set(by, { size, toldMs: clock.nowMs() })
    },
    total(counts, _none, { clock }) {
      const nowMs = clock.nowMs()
      let sum = 0
      for (const [by, { size, toldMs }] of counts) {
        if (nowMs - toldMs > FORGOTTEN_AFTER_MS) counts.delete(by)
        else sum += size
      }
      return sum
    },
  },
})

export class Census {
  readonly #actor: ActorRef<CensusHandlers>
  readonly #after: ServiceContext<unknown>['after']
  readonly #by: string
  readonly #size: () => number
  #told = 0
  #isTelling = false
  #cancel: () => void = () => {}

  constructor({ actor, after }: Pick<ServiceContext<unknown>, 'actor' | 'after'>, by: string, size: () => number) {
    this.#actor = actor(censusActor, CENSUS_ID)
    this.#after = after
    this.#by = by
    this.#size = size
  }

  /** What there is here has changed. */
  changed(): void {
    if (!this.#isTelling) this.#tell()
  }

  /** What is known here at least, when the actor does not answer. Never rejects. */
  total(): Promise<number> {
    if (this.#size() !== this.#told) this.#tell()
    return this.#actor.ask('total').catch(() => this.#size())
  }

  stop(): void {
    this.#cancel()
    if (this.#told > 0) this.#actor.tell('tell', { by: this.#by, size: 0 })
  }

  #tell(): void {
    const size = this.#size()
    // Refused, because the way is full: then it is told the next time.
    if (this.#actor.tell('tell', { by: this.#by, size })) this.#told = size
    this.#isTelling = true
    this.#wait(TOLD_EVERY_MS, () => {
      this.#isTelling = false
      if (this.#size() !== this.#told) this.#tell()
      else if (this.#told > 0) this.#wait(REPEATED_EVERY_MS, () => this.#tell())
    })
  }

  #wait(ms: number, then: () => void): void {
    this.#cancel()
    this.#cancel = this.#after(ms, then)
  }
}
