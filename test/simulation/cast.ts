// The actors of a simulation: four kinds with the same handlers, which begin, rest and travel in different ways. What
// they do is up to chance; what they see goes into the ledger.
import type { ActorContext } from '../../src/actor/context.ts'
import { type ActorDefinition, defineActor, type Handler, Refusal } from '../../src/actor/definition.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { SLOTS, slotOf } from '../../src/placement/slots.ts'
import type { Answer, Argument, Ledger } from './ledger.ts'
import type { Random } from './random.ts'

/** What an actor may use of the world it is in. */
export interface Stage {
  /** The life of the thread it runs on. */
  readonly life: number
  readonly random: Random
  readonly ledger: Ledger
  readonly cast: Cast
  nowMs(): number
  /** Takes a while of manual time. */
  pause(ms: number): Promise<void>
}

export interface State {
  readonly key: string
  readonly activation: number
  count: number
}

type Act = (state: State, argument: Argument, context: ActorContext) => unknown
export type Methods = Readonly<Record<Method, Act>>
export type Definition = ActorDefinition<State, Methods>

export const METHODS = [
  'add',
  'slow',
  'call',
  'spread',
  'refuse',
  'fail',
  'failSlowly',
  'remind',
  'repeat',
  'stop',
] as const
export type Method = (typeof METHODS)[number] | 'tick'
/** As likely as this: most messages do no harm. */
export const METHOD_WEIGHTS = [40, 8, 10, 8, 3, 1.5, 1, 6, 2, 2] as const

const KINDS = ['plain', 'brief', 'packed', 'fragile'] as const
/** One that no module defines. */
export const NO_KIND = 'nobody'

export interface Place {
  readonly kind: string
  readonly id: string
  readonly key: string
  readonly slot: number
}

/** The addresses of one simulation. */
export class Cast {
  readonly places: readonly Place[]
  readonly slots: readonly number[]

  constructor(random: Random) {
    this.slots = random.some(crowdedSlots(), 5, 12)
    const all = this.slots.flatMap((slot) => placesOf().get(slot) ?? [])
    this.places = random.some(all, 20, 60).sort((a, b) => a.key.localeCompare(b.key))
  }
}

let places: Map<number, Place[]> | undefined

/** Several addresses of one slot are rare: 16,384 slots, and a hash between. */
function placesOf(): ReadonlyMap<number, Place[]> {
  if (places !== undefined) return places
  places = new Map()
  for (let number = 0; number < SLOTS; number++) {
    for (const kind of KINDS) {
      const key = `${kind}/${number}`
      const slot = slotOf(key)
      const sameSlot = places.get(slot) ?? []
      sameSlot.push({ kind, id: `${number}`, key, slot })
      places.set(slot, sameSlot)
    }
  }
  return places
}

function crowdedSlots(): number[] {
  const crowded = [...placesOf()].filter(([, { length }]) => length >= 6 && length <= 8)
  return crowded.map(([slot]) => slot).slice(0, 64)
}

/** The kinds as one life of a thread has them. */
export function createCast(stage: Stage): Definition[] {
  return KINDS.map((kind) => {
    const isFragile = kind === 'fragile'
    const definition = {
      kind,
      create: (id: string) => (isFragile ? createSlowly(stage, kind, id) : create(stage, kind, id)),
      on: handlersOf(stage),
      idleAfter: kind === 'brief' ? '60ms' : kind === 'fragile' ? '200ms' : 0,
      passivated: (state: State) => {
        stage.ledger.ended(state.key, state.activation)
        return isFragile && stage.random.chance(0.5) ? passivateSlowly(stage) : undefined
      },
    }
    if (kind === 'plain' || kind === 'brief') return defineActor<State, Methods>(definition)
    return defineActor<State, Methods>({
      ...definition,
      freeze: ({ key, activation, count }: State) => {
        if (isFragile && stage.random.chance(0.1)) throw new Error('cannot be frozen')
        return new Map(Object.entries({ key, activation, count }))
      },
      thaw: (frozen: Map<string, never>) => {
        const state = Object.fromEntries(frozen) as unknown as State
        if (isFragile && stage.random.chance(0.1)) {
          stage.ledger.ended(state.key, state.activation)
          throw new Error('cannot be thawed')
        }
        return state
      },
    })
  })
}

function create({ ledger, life }: Stage, kind: string, id: string): State {
  const key = `${kind}/${id}`
  return { key, activation: ledger.created(life, key), count: 0 }
}

async function createSlowly(stage: Stage, kind: string, id: string): Promise<State> {
  const state = create(stage, kind, id)
  const { random } = stage
  const fails = random.chance(0.15)
  if (random.chance(0.5)) await stage.pause(random.between(1, 90))
  if (!fails) return state
  stage.ledger.ended(state.key, state.activation)
  throw new Error('cannot begin')
}

async function passivateSlowly({ random, pause }: Stage): Promise<void> {
  await pause(random.between(1, 40))
  if (random.chance(0.3)) throw new Error('cannot be saved')
}

function handlersOf(stage: Stage): Methods & Readonly<Record<string, Handler<State>>> {
  const { random, ledger, life } = stage
  /** Every handler begins with it. */
  function begin(state: State, argument: Argument): Answer {
    ledger.handled(life, state.key, argument)
    if (ledger.add(state.key, state, true)) state.count++
    return { n: argument.n, count: state.count }
  }
  async function ended(state: State, work: Promise<Answer>): Promise<Answer> {
    try {
      return await work
    } catch (error) {
      ledger.ended(state.key, state.activation)
      throw error
    }
  }
  return {
    add: begin,
    tick: begin,
    slow: (state, argument) => ended(state, slow(state, argument)),
    call: (state, argument, context) => ended(state, call(state, argument, context)),
    spread(state, argument, context) {
      const answer = begin(state, argument)
      for (let times = random.between(1, 3); times > 0 && argument.d > 0; times--) {
        const place = otherOf(stage, state.key)
        const number = ledger.send('tell', place.key)
        const told = context.actor(definitionOf(place), place.id).tell(random.pick(['add', 'slow', 'spread']), {
          n: number,
          s: life,
          a: state.activation,
          d: argument.d - 1,
          p: [],
        })
        if (!told) ledger.refused(number, true)
      }
      return answer
    },
    refuse(state, argument) {
      begin(state, argument)
      throw new Refusal('not today')
    },
    fail(state, argument) {
      begin(state, argument)
      ledger.ended(state.key, state.activation)
      throw new Error('broken')
    },
    failSlowly: (state, argument) => ended(state, failSlowly(state, argument)),
    remind(state, argument, context) {
      const answer = begin(state, argument)
      const number = ledger.send('timer', state.key, state.activation)
      ledger.timerSet(state.key, number)
      context.after('once', random.between(1, 150), 'tick', { n: number, s: life, a: 0, d: 0, p: [] })
      return answer
    },
    repeat(state, argument, context) {
      const answer = begin(state, argument)
      ledger.repeats(state.key)
      if (!context.cancel('often'))
        context.every('often', random.between(5, 40), 'tick', { n: 0, s: life, a: 0, d: 0, p: [] })
      return answer
    },
    stop(state, argument, context) {
      const answer = begin(state, argument)
      context.stop()
      return answer
    },
  }

  async function slow(state: State, argument: Argument): Promise<Answer> {
    const answer = begin(state, argument)
    await stage.pause(random.between(1, random.chance(0.1) ? 200 : 20))
    if (ledger.add(state.key, state, false)) state.count++
    return answer
  }

  async function failSlowly(state: State, argument: Argument): Promise<Answer> {
    begin(state, argument)
    await stage.pause(random.between(1, 30))
    throw new TypeError('broken in the end')
  }

  async function call(state: State, argument: Argument, context: ActorContext): Promise<Answer> {
    const answer = begin(state, argument)
    const isAsked = context.deadlineMs !== undefined
    const path = [...(isAsked ? argument.p : []), state.key]
    for (let times = random.between(1, 2); times > 0 && argument.d > 0; times--) {
      // Now and then one that waits for this very call.
      const place = random.chance(0.05) ? placeOf(stage, random.pick(path)) : otherOf(stage, state.key)
      const ownMs = random.between(5, 150)
      const deadlineMs = Math.min(stage.nowMs() + ownMs, context.deadlineMs ?? Number.POSITIVE_INFINITY)
      const number = ledger.send('ask', place.key)
      const asked = context
        .actor(definitionOf(place), place.id)
        .within(ownMs)
        .ask(random.pick(['add', 'slow', 'call', 'fail']), {
          n: number,
          s: life,
          a: state.activation,
          d: argument.d - 1,
          p: path,
        })
      try {
        await ledger.asked(life, number, deadlineMs, path.includes(place.key), asked as Promise<Answer>)
      } catch (error) {
        if (!(error instanceof PolyloopError) || random.chance(0.1)) throw error
      }
    }
    if (ledger.add(state.key, state, false)) state.count++
    return answer
  }
}

/** References need a definition for its types and its kind only. */
export function definitionOf({ kind }: Place): Definition {
  return { kind } as Definition
}

/** Often the same one: whether it comes in turn shows only between two that talk a lot. */
function otherOf({ cast, random }: Stage, key: string): Place {
  const { places } = cast
  return random.chance(0.6) ? (places[(slotOf(key) + key.length) % places.length] as Place) : random.pick(places)
}

function placeOf({ cast }: Stage, key: string): Place {
  return cast.places.find((place) => place.key === key) as Place
}
