// What the simulation knows of every message, ask and actor, and what it finds wrong. It believes nothing the runtime
// says of itself: it counts what handlers see, and what was sent.
import { ERRORS, PolyloopError } from '../../src/lib/errors.ts'

/** A timer is late by its tick, and the rounding of delay and deadline to it. */
const LATE_MS_MAX = 10

/** What every message carries. */
export interface Argument {
  /** Its number, unique; 0 for a repeated timer. */
  readonly n: number
  /** The life of the thread that sent it. */
  readonly s: number
  /** The state of the actor that sent it, wherever it was then; 0: no actor did. */
  readonly a: number
  /** How many more asks it may cause. */
  readonly d: number
  /** Who waits for its answer, and for theirs. */
  readonly p: readonly string[]
}

export interface Answer {
  readonly n: number
  readonly count: number
}

type SentAs = 'tell' | 'ask' | 'timer'

interface Sent {
  readonly number: number
  readonly key: string
  readonly as: SentAs
  /** For a timer: whose it is. */
  readonly activation: number
  /** `open`: no handler has seen it, and nobody has said why. */
  status: 'open' | 'handled' | 'refused' | 'unsent' | 'replaced'
  /** A thread was killed while it was open. */
  touched: boolean
}

interface OpenAsk {
  readonly deadlineMs: number
  readonly sent: Sent
}

/** What is known of the life of one address. */
interface Entry {
  activation: number
  /** The sum its state must show. */
  count: number
  /** The life of a thread, or 'way' between two, or 'nowhere'. */
  place: number | 'way' | 'nowhere'
  dead: number
  refused: number
  startFailures: number
  /** It had a timer that repeats, whose messages have no number. */
  repeats: boolean
  /** The timer that was set last. */
  timer: Sent | undefined
}

export class Ledger {
  readonly problems: string[] = []
  readonly figures = {
    sent: 0,
    handled: 0,
    refused: 0,
    deadLetters: 0,
    answered: 0,
    failedAsks: 0,
    moved: 0,
    kills: 0,
    moves: 0,
    activations: 0,
    fired: 0,
    heldMax: 0,
    forwarded: 0,
  }
  /** Error code → asks that ended with it; reason → dead letters. */
  readonly codes = new Map<string, number>()
  readonly reasons = new Map<string, number>()
  readonly #nowMs: () => number
  readonly #eventsKept: number
  #step = 0
  #number = 0
  #activation = 0
  readonly #events: string[] = []
  readonly #sent = new Map<number, Sent>()
  readonly #entries = new Map<string, Entry>()
  /** By life: what waits for an answer. */
  readonly #asks = new Map<number, Set<OpenAsk>>()
  /** By sender, which is a life or a state, and actor: the last number handled. */
  readonly #last = new Map<string, number>()

  constructor(nowMs: () => number, eventsKept: number) {
    this.#nowMs = nowMs
    this.#eventsKept = eventsKept
  }

  // ---- events ------------------------------------------------------------------------------------------------------

  at(step: number): void {
    this.#step = step
  }

  note(event: string): void {
    if (this.#events.length === this.#eventsKept) this.#events.shift()
    this.#events.push(`${this.#step} ${this.#nowMs()}ms ${event}`)
  }

  get events(): readonly string[] {
    return this.#events
  }

  problem(what: string): void {
    this.note(`PROBLEM ${what}`)
    this.problems.push(`step ${this.#step}: ${what}`)
  }

  // ---- messages ----------------------------------------------------------------------------------------------------

  send(as: SentAs, key: string, activation = 0): number {
    this.figures.sent++
    const number = ++this.#number
    this.#sent.set(number, { number, key, as, activation, status: 'open', touched: false })
    return number
  }

  /** The sender was told no. `counted`: the runtime owes a dead letter for it. */
  refused(number: number, counted: boolean): void {
    const sent = this.#sentAs(number)
    sent.status = counted ? 'refused' : 'unsent'
    this.figures.refused++
    if (counted) this.#entry(sent.key).refused++
  }

  timerSet(key: string, number: number): void {
    const entry = this.#entry(key)
    if (entry.timer?.status === 'open') entry.timer.status = 'replaced'
    entry.timer = this.#sentAs(number)
  }

  repeats(key: string): void {
    this.#entry(key).repeats = true
  }

  /** A handler begins. */
  handled(life: number, key: string, { n, s, a }: Argument): void {
    this.figures.handled++
    const entry = this.#entry(key)
    this.note(`${key} handles ${n} on life ${life}`)
    if (entry.place !== life) this.problem(`${key} handles ${n} on life ${life}, but it is ${entry.place}`)
    if (n === 0) return
    const sent = this.#sentAs(n)
    // A timer that was replaced may have been in the mailbox by then.
    if (sent.status !== 'open' && sent.status !== 'replaced')
      this.problem(`${key} handles ${n}, which is ${sent.status} already`)
    if (sent.key !== key) this.problem(`${key} handles ${n}, which was sent to ${sent.key}`)
    sent.status = 'handled'
    if (sent.as === 'timer') {
      this.figures.fired++
      return
    }
    const last = this.#inTurn(`${s}>${key}`, n)
    if (last > n) this.problem(`${key} handles ${n} of life ${s} after ${last}`)
    if (a === 0) return
    // An actor may have moved in between. When a thread died, what it had sent from there may come late.
    const lastOfActor = this.#inTurn(`state ${a}>${key}`, n)
    if (lastOfActor > n && !sent.touched) this.problem(`${key} handles ${n} of state ${a} after ${lastOfActor}`)
  }

  /** The last number that came this way; now it is at least `n`. */
  #inTurn(way: string, n: number): number {
    const last = this.#last.get(way) ?? 0
    this.#last.set(way, Math.max(n, last))
    return last
  }

  deadLetter(key: string, reason: string): void {
    this.figures.deadLetters++
    count(this.reasons, reason)
    this.note(`${key} dead letter: ${reason}`)
    this.#entry(key).dead++
  }

  startFailed(key: string): void {
    this.#entry(key).startFailures++
  }

  // ---- asks --------------------------------------------------------------------------------------------------------

  /** Follows an ask to its end. */
  async asked(
    life: number,
    number: number,
    deadlineMs: number,
    isCycle: boolean,
    answer: Promise<Answer>,
  ): Promise<Answer> {
    const sent = this.#sentAs(number)
    const asks = this.#asks.get(life) ?? new Set<OpenAsk>()
    this.#asks.set(life, asks)
    const ask = { deadlineMs, sent }
    const isLate = deadlineMs <= this.#nowMs()
    asks.add(ask)
    try {
      const value = await answer
      this.figures.answered++
      if (isCycle || isLate) this.problem(`ask ${number} of ${sent.key} was answered, though nobody could`)
      if (value.n !== number) this.problem(`ask ${number} of ${sent.key} got the answer of ${value.n}`)
      if (sent.status !== 'handled') this.problem(`ask ${number} of ${sent.key} was answered, but is ${sent.status}`)
      return value
    } catch (error) {
      this.figures.failedAsks++
      const code = error instanceof PolyloopError ? error.code : `no code: ${String(error)}`
      count(this.codes, code)
      if (!(code in ERRORS)) this.problem(`ask ${number} of ${sent.key} ended with ${code}`)
      if (isCycle && !isLate && code !== 'ACTOR_CYCLE')
        this.problem(`ask ${number} of ${sent.key} is a circle: ${code}`)
      // A timeout inside its handler may be passed on, but names another actor.
      const isOwn = error instanceof PolyloopError && error.details.actor === sent.key
      if (code === 'ASK_TIMEOUT' && isOwn && this.#nowMs() < deadlineMs) {
        this.problem(`ask ${number} of ${sent.key} timed out before its deadline, ${deadlineMs} ms`)
      }
      const isUnsent = isCycle || isLate || code === 'ASKS_TOO_MANY'
      if (isUnsent && sent.status === 'open') this.refused(number, false)
      throw error
    } finally {
      if (!asks.delete(ask)) this.problem(`ask ${number} of ${sent.key} has ended before`)
    }
  }

  /** The timers of this life have run at that time, and promises settled: nothing may be overdue. */
  overdue(life: number, ranMs: number): void {
    for (const { deadlineMs, sent } of this.#asks.get(life) ?? []) {
      if (ranMs <= deadlineMs + LATE_MS_MAX) continue
      this.problem(`ask ${sent.number} of ${sent.key} waits since its deadline, ${deadlineMs} ms`)
    }
  }

  openAsks(life: number): number {
    return this.#asks.get(life)?.size ?? 0
  }

  // ---- actors ------------------------------------------------------------------------------------------------------

  /** Its state is made anew: only right if the one before has come to an end. Answers the number of its new state. */
  created(life: number, key: string): number {
    const entry = this.#entry(key)
    if (entry.place !== 'nowhere') {
      this.problem(`${key} is created on life ${life}, but its state is on ${entry.place}`)
    }
    this.figures.activations++
    this.note(`${key} begins on life ${life}`)
    entry.place = life
    entry.count = 0
    entry.activation = ++this.#activation
    return entry.activation
  }

  /** Adds to the sum of an actor, which must be what its state shows. False: it is another actor's by now. */
  add(key: string, state: { readonly activation: number; readonly count: number }, isStart: boolean): boolean {
    const entry = this.#entry(key)
    if (state.activation !== entry.activation) {
      // The second half of a handler that was given up on runs into the void.
      if (isStart) this.problem(`${key} works with state ${state.activation}, not ${entry.activation}`)
      return false
    }
    if (state.count !== entry.count) this.problem(`${key} has counted ${state.count}, not ${entry.count}`)
    entry.count++
    return true
  }

  /** It threw, was passivated, was given up on: its state is gone. What an actor from before does counts no more. */
  ended(key: string, activation?: number): void {
    const entry = this.#entry(key)
    if (activation !== undefined && activation !== entry.activation) return
    entry.place = 'nowhere'
    entry.activation = 0
    this.note(`${key} is gone`)
  }

  left(key: string): void {
    const entry = this.#entry(key)
    this.note(`${key} leaves`)
    if (entry.place !== 'nowhere') entry.place = 'way'
  }

  arrived(key: string, life: number): void {
    const entry = this.#entry(key)
    this.note(`${key} comes to life ${life}`)
    if (entry.place !== 'way') return
    entry.place = life
    this.figures.moved++
  }

  // ---- faults ------------------------------------------------------------------------------------------------------

  killed(life: number): void {
    this.figures.kills++
    for (const [key, entry] of this.#entries) if (entry.place === life) this.ended(key)
    for (const sent of this.#sent.values()) if (sent.status === 'open') sent.touched = true
    this.#asks.delete(life)
    this.#asks.set(life, new Set())
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  /** Nothing is on its way any more: every message must have been handled, or have a reason. */
  balance(): void {
    const open = new Map<string, { sure: number; touched: number; timers: number }>()
    for (const sent of this.#sent.values()) {
      if (sent.status !== 'open' && sent.status !== 'replaced') continue
      const counts = open.get(sent.key) ?? { sure: 0, touched: 0, timers: 0 }
      open.set(sent.key, counts)
      if (sent.as === 'timer') counts.timers++
      else if (sent.touched) counts.touched++
      else counts.sure++
    }
    for (const [key, entry] of this.#entries) {
      const { sure, touched, timers } = open.get(key) ?? { sure: 0, touched: 0, timers: 0 }
      const explained = entry.dead - entry.refused
      // What a kill has touched may be lost without a word, what it has not may not.
      if (explained + entry.startFailures < sure) {
        this.problem(`${key} lost ${sure} messages, ${explained} dead letters and ${entry.startFailures} failed starts`)
      }
      if (!entry.repeats && explained > sure + touched + timers) {
        this.problem(`${key} has ${explained} dead letters for ${sure + touched + timers} messages`)
      }
      const { timer } = entry
      if (timer?.status === 'open' && timer.activation === entry.activation && entry.place !== 'nowhere') {
        this.problem(`timer ${timer.number} of ${key} has not fired`)
      }
      if (entry.place === 'way') this.problem(`${key} is on its way for ever`)
    }
  }

  activeOn(life: number): number {
    let active = 0
    for (const { place } of this.#entries.values()) if (place === life) active++
    return active
  }

  #sentAs(number: number): Sent {
    return this.#sent.get(number) as Sent
  }

  #entry(key: string): Entry {
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      const nothing = { activation: 0, count: 0, dead: 0, refused: 0, startFailures: 0 }
      entry = { ...nothing, place: 'nowhere', repeats: false, timer: undefined }
      this.#entries.set(key, entry)
    }
    return entry
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
