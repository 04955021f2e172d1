// What the hub of the whole process has, in numbers: each shard tells one actor, and is told the sums. A thread that died
// tells nothing any more, so what it told is forgotten soon.
import type { ActorRef } from '../../actor/actor-ref.ts'
import type { ActorContext } from '../../actor/context.ts'
import { defineActor } from '../../actor/definition.ts'
import type { ServiceContext } from '../service.ts'
import { shared } from './shared.ts'

/** What stays the same is told again, for an actor that begins anew because its shard died: so long its sums are too small. */
const REPEATED_EVERY_MS = 1_000
/** So long they are too large behind the death of another shard, whose clients are back before that. */
const FORGOTTEN_AFTER_MS = 3 * REPEATED_EVERY_MS
/** Nobody waits longer for a sum than for a reply. */
const ASK_MS = 1_000
export const CENSUS_ID = 'all'

/** The places of the numbers; those of the channels follow, subscribers of each. */
export const COUNT = { connections: 0, published: 1, buffered: 2, channels: 3 } as const

interface Told {
  readonly values: readonly number[]
  readonly toldMs: number
}

export interface Telling {
  /** Names a thread, in one of its lives; null: who only asks. */
  readonly by: string | null
  readonly values: readonly number[]
}

export type CensusHandlers = {
  readonly tell: (all: Map<string, Told>, telling: Telling, context: ActorContext) => readonly number[]
}

export const hubCensus = defineActor<Map<string, Told>, CensusHandlers>({
  kind: 'hub-census',
  create: () => new Map(),
  on: {
    /** Answers the sums. */
    tell(all, { by, values }, { clock }) {
      const nowMs = clock.nowMs()
      if (by !== null && values.every((value) => value === 0)) all.delete(by)
      else if (by !== null) all.set(by, { values, toldMs: nowMs })
      const sums: number[] = []
      for (const [name, told] of all) {
        if (nowMs - told.toldMs > FORGOTTEN_AFTER_MS) all.delete(name)
        else for (const [index, value] of told.values.entries()) sums[index] = (sums[index] ?? 0) + value
      }
      return sums
    },
  },
})

export class Census {
  readonly #actor: ActorRef<CensusHandlers>
  readonly #after: ServiceContext<unknown>['after']
  readonly #by: string
  readonly #values: () => readonly number[]
  readonly #sync: () => Promise<readonly number[]>
  #cancel: () => void = () => {}

  constructor(
    { actor, after }: Pick<ServiceContext<unknown>, 'actor' | 'after'>,
    by: string,
    values: () => readonly number[],
  ) {
    this.#actor = actor(hubCensus, CENSUS_ID).within(ASK_MS)
    this.#after = after
    this.#by = by
    this.#values = values
    this.#sync = shared(() => this.#ask())
    this.#repeat()
  }

  /** Tells what there is here now, and answers the sums over all shards; of this one alone if they cannot be had. Never rejects. */
  sync(): Promise<readonly number[]> {
    return this.#sync()
  }

  stop(): void {
    this.#cancel()
    this.#actor.tell('tell', { by: this.#by, values: [] })
  }

  async #ask(): Promise<readonly number[]> {
    const values = this.#values()
    try {
      return await this.#actor.ask('tell', { by: this.#by, values })
    } catch {
      // The actor is overloaded or its shard has just died: what is known here is an answer, too.
      return values
    }
  }

  #repeat(): void {
    this.#cancel = this.#after(REPEATED_EVERY_MS, () => {
      void this.sync()
      this.#repeat()
    })
  }
}
