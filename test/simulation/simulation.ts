// One simulation: a seed decides the threads, the actors, the limits and every step. Then nothing bad happens any more,
// everything comes to its end, and the books must balance.
import type { Activation } from '../../src/actor/activation.ts'
import { addressOf } from '../../src/actor/address.ts'
import { METHOD_WEIGHTS, METHODS, NO_KIND } from './cast.ts'
import { step } from './channel.ts'
import type { Answer, Ledger } from './ledger.ts'
import type { Life, Limits } from './life.ts'
import { Random } from './random.ts'
import { MAIN, World } from './world.ts'

export interface SimulationResult {
  readonly seed: number
  readonly steps: number
  /** Empty: everything held. */
  readonly problems: readonly string[]
  /** The last that happened. */
  readonly events: readonly string[]
  readonly figures: Ledger['figures']
  readonly codes: ReadonlyMap<string, number>
  readonly reasons: ReadonlyMap<string, number>
}

/** Of a simulation that counts. */
export const STEPS = 10_000

export const EVENTS_KEPT = 50

const FIRST_THREAD = 8
/** Manual time in which everything must have come to its end: longer than all limits together. */
const QUIET_MS = 2_400
const QUIET_STEP_MS = 8
/** Items taken without time passing, before it counts as a storm that does not end. */
const STORM_MAX = 200_000
const BURST_MAX = 12

/** Runs `steps` steps of `seed`, and the quiet end. */
export async function simulate(seed: number, steps: number, eventsKept = EVENTS_KEPT): Promise<SimulationResult> {
  const simulation = new Simulation(seed, eventsKept)
  const { ledger } = simulation.world
  let taken = 0
  try {
    while (taken < steps && ledger.problems.length === 0) {
      ledger.at(++taken)
      simulation.step()
      await simulation.settle()
      simulation.look()
    }
    if (ledger.problems.length === 0) await simulation.end()
  } catch (error) {
    ledger.problem(error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  simulation.count()
  const { problems, events, figures, codes, reasons } = ledger
  return { seed, steps: taken, problems, events, figures, codes, reasons }
}

class Simulation {
  readonly world: World
  readonly #random: Random
  readonly #weights: readonly number[]
  readonly #acts: readonly (() => void)[]
  /** Which faults this seed has. */
  readonly #kills: boolean
  readonly #queueMax: number

  constructor(seed: number, eventsKept: number) {
    const random = new Random(seed)
    this.#random = random
    this.#kills = random.chance(0.6)
    this.#queueMax = random.pick([3, 8, 30, 200])
    const threads = Array.from({ length: random.between(3, 8) }, (_, index) => FIRST_THREAD + index)
    this.world = new World(random, threads, limitsOf(random), eventsKept)
    this.world.queueMax = this.#queueMax
    const kill = this.#kills ? random.between(1, 4) / 10 : 0
    const table: readonly [number, () => void][] = [
      [random.between(30, 70), () => this.#deliver()],
      [random.between(10, 30), () => this.#send()],
      [random.between(2, 8), () => this.#time()],
      [random.between(4, 10), () => this.#timers()],
      [random.between(3, 8), () => this.#finish()],
      [random.between(1, 12) / 4, () => this.#move()],
      [kill, () => this.#kill()],
      [kill * 20, () => this.#start()],
      [0.3, () => this.#disturb()],
    ]
    this.#weights = table.map(([weight]) => weight)
    this.#acts = table.map(([, act]) => act)
  }

  step(): void {
    this.#acts[this.#random.weighed(this.#weights)]?.()
  }

  /** Promises of this step come to their end before the next one. */
  async settle(): Promise<void> {
    do await new Promise((resolve) => void setImmediate(resolve))
    while (this.world.endTurn())
  }

  // ---- steps -------------------------------------------------------------------------------------------------------

  #deliver(): void {
    const { board } = this.world
    for (let attempt = 0; attempt < 4; attempt++) {
      const channel = board.busy(this.#random.below(1_000))
      if (channel === undefined) return
      if (!this.world.canTake(channel)) continue
      const items = this.#random.chance(0.1) ? this.#random.between(2, BURST_MAX) : 1
      this.world.ledger.note(`take ${items} of ${channel.items.length}: ${channel.name}`)
      for (let item = 0; item < items && this.world.canTake(channel) && step(channel); item++);
      return
    }
  }

  #send(): void {
    const { world } = this
    const { ledger, cast } = world
    const random = this.#random
    const sender = random.pick([...world.lives.values()])
    const place = random.chance(0.003) ? { kind: NO_KIND, id: '1', key: `${NO_KIND}/1` } : random.pick(cast.places)
    const method = random.chance(0.005) ? 'nothing' : (METHODS[random.weighed(METHOD_WEIGHTS)] as string)
    // Several in a row now and then: mailboxes and asks have limits.
    for (let times = random.chance(0.05) ? random.between(4, 20) : 1; times > 0; times--) {
      const isAsk = random.chance(0.5)
      const n = ledger.send(isAsk ? 'ask' : 'tell', place.key)
      ledger.note(`${sender.thread} ${isAsk ? 'asks' : 'tells'} ${place.key} ${method} ${n}`)
      const argument = { n, s: sender.life, a: 0, d: random.between(1, 4), p: [] }
      const address = addressOf(place.kind, place.id)
      if (!isAsk) {
        if (!sender.system.tell(address, method, argument)) ledger.refused(n, true)
        continue
      }
      const timeoutMs = random.chance(0.5) ? random.between(1, 300) : undefined
      const deadlineMs = world.clock.nowMs() + (timeoutMs ?? world.limits.askTimeoutMs)
      const answer = sender.system.ask(address, method, argument, timeoutMs, undefined) as Promise<Answer>
      // The ledger has looked at it.
      ledger.asked(sender.life, n, deadlineMs, false, answer).catch(() => {})
    }
  }

  #time(): void {
    this.world.clock.advance(this.#random.chance(0.05) ? this.#random.between(20, 80) : this.#random.between(1, 32) / 4)
  }

  #timers(): void {
    this.#random.pick([...this.world.lives.values()]).turn()
  }

  #finish(): void {
    const { pauses, clock } = this.world
    const due = pauses.filter(({ dueMs }) => dueMs <= clock.nowMs())
    if (due.length === 0) return
    const pause = this.#random.pick(due)
    pauses.splice(pauses.indexOf(pause), 1)
    pause.done()
  }

  #move(): void {
    const { world } = this
    const random = this.#random
    const threads = world.threads.filter((thread) => !world.fallen.has(thread) && !world.starting.has(thread))
    if (threads.length < 2) return
    const [from = 0, to = 0] = random.some(threads, 2, 2)
    const slots = world.movable(from)
    if (to === 0 || slots.length === 0) return
    world.beginMove(random.some(slots, 1, slots.length), from, to)
  }

  #kill(): void {
    const alive = this.world.threads.filter((thread) => this.world.lives.has(thread))
    if (alive.length > 1) this.world.kill(this.#random.pick(alive))
  }

  #start(): void {
    const { starting, fallen } = this.world
    const [rising] = starting
    if (rising !== undefined && this.#random.chance(0.6)) this.world.arise(rising)
    else if (fallen.size > 0) this.world.startSuccessor(this.#random.pick([...fallen]))
  }

  #disturb(): void {
    const { world } = this
    const random = this.#random
    world.queueMax = random.chance(0.3) ? random.between(0, 2) : this.#queueMax
    const { system } = random.pick([...world.lives.values()])
    system.refusing = random.chance(0.2)
    if (random.chance(0.2)) system.passivateIdle(random.between(1, 10))
  }

  // ---- what must hold at any time ------------------------------------------------------------------------------------

  look(): void {
    const { world } = this
    const { ledger, limits } = world
    const active = new Map<number, Life>()
    for (const life of world.lives.values()) {
      ledger.overdue(life.life, life.turnedMs)
      for (const activation of life.system.activations()) {
        // Sixty addresses have sixty hashes, and this is done after every step.
        const { hash } = activation.address
        const other = active.get(hash)
        if (other !== undefined) {
          ledger.problem(`${keyOf(activation)} is active on ${other.thread} and on ${life.thread}`)
        }
        active.set(hash, life)
        // Timers that fire once come in beyond the limit: each actor here has one.
        const depthMax = limits.mailboxMax + 2
        if (activation.depth > depthMax) {
          ledger.problem(`the mailbox of ${keyOf(activation)} has ${activation.depth} messages`)
        }
      }
      if (life.system.asks > limits.asksMax) ledger.problem(`${life.system.asks} asks on ${life.thread}`)
      if (life.system.asks > ledger.openAsks(life.life)) {
        ledger.problem(`${life.system.asks} asks on ${life.thread}, ${ledger.openAsks(life.life)} were made`)
      }
      const { heldBytes } = life.router
      ledger.figures.heldMax = Math.max(ledger.figures.heldMax, heldBytes)
      const heldBytesMax = limits.heldBytesMax * life.incoming.size
      if (heldBytes > heldBytesMax) ledger.problem(`${life.thread} holds ${heldBytes} bytes`)
    }
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  /** No more faults: everything arrives, and time passes. */
  async end(): Promise<void> {
    const { world } = this
    const { ledger } = world
    world.queueMax = Number.POSITIVE_INFINITY
    for (const life of world.lives.values()) life.system.refusing = false
    for (let passedMs = 0; passedMs < QUIET_MS; passedMs += QUIET_STEP_MS) {
      await this.#deliverAll()
      if (ledger.problems.length > 0) return
      world.clock.advance(QUIET_STEP_MS)
      for (const life of world.lives.values()) life.turn()
      for (const pause of world.pauses.splice(0)) {
        if (pause.dueMs <= world.clock.nowMs()) pause.done()
        else world.pauses.push(pause)
      }
    }
    await this.#deliverAll()
    for (const life of world.lives.values()) this.#lookAtRest(life)
    if (world.moves.size > 0) ledger.problem(`moves ${[...world.moves.keys()].join(' ')} do not end`)
    ledger.balance()
  }

  async #deliverAll(): Promise<void> {
    const { world } = this
    let taken = 0
    for (;;) {
      for (const thread of [...world.starting]) world.arise(thread)
      for (const thread of [...world.fallen]) world.startSuccessor(thread)
      await this.settle()
      this.look()
      let progress = world.starting.size > 0
      for (let left = world.board.busyCount; left > 0; left--) {
        const channel = world.board.busy(left - 1)
        if (channel === undefined || !world.canTake(channel)) continue
        world.ledger.note(`take all: ${channel.name}`)
        while (step(channel) && taken++ < STORM_MAX && !channel.name.startsWith('retry'));
        progress = true
      }
      if (!progress || world.ledger.problems.length > 0) return
      if (taken >= STORM_MAX) {
        world.ledger.problem('it does not come to rest')
        return
      }
    }
  }

  #lookAtRest(life: Life): void {
    const { ledger, cast } = this.world
    const { router, system, thread, wheel } = life
    if (system.asks > 0) ledger.problem(`${system.asks} asks of ${thread} have no end`)
    if (router.moving) ledger.problem(`${thread} is still in a move`)
    if (router.heldBytes > 0) ledger.problem(`${thread} holds ${router.heldBytes} bytes for ever`)
    for (const slot of cast.slots) if (router.isMoving(slot)) ledger.problem(`${thread} believes that ${slot} moves`)
    for (const slot of cast.slots) {
      const owner = this.world.owners[slot]
      if (router.ownerOf(slot) !== owner) ledger.problem(`${thread} believes ${slot} is not at ${owner}`)
    }
    if (system.migration.awaited > 0) ledger.problem(`${thread} waits for ${system.migration.awaited} actors`)
    if (life.barriers.waiting + life.gates.waiting > 0) ledger.problem(`${thread} waits for barriers for ever`)
    const timers = wheel.stats.scheduled
    if (timers !== life.actorTimers) ledger.problem(`${thread} has ${timers} timers, its actors ${life.actorTimers}`)
    for (const activation of system.activations()) {
      const key = keyOf(activation)
      if (activation.depth > 0) ledger.problem(`${key} has ${activation.depth} messages and does nothing`)
      if (activation.status !== 'idle') ledger.problem(`${key} is ${activation.status} for ever`)
      if (this.world.owners[activation.address.slot] !== thread)
        ledger.problem(`${key} is on ${thread}, its slot is not`)
      if (thread === MAIN) ledger.problem(`${key} is on main`)
    }
    if (system.size !== ledger.activeOn(life.life)) {
      ledger.problem(`${system.size} actors on ${thread}, ${ledger.activeOn(life.life)} states`)
    }
  }

  /** Figures that the runtime counts itself. */
  count(): void {
    const { lives, ledger } = this.world
    for (const { router } of lives.values()) ledger.figures.forwarded += router.stats.forwarded
  }
}

function keyOf({ address }: Activation): string {
  return `${address.kind}/${address.id}`
}

/** Small, so that they are reached. */
function limitsOf(random: Random): Limits {
  return {
    mailboxMax: random.pick([2, 4, 16]),
    askTimeoutMs: random.between(40, 400),
    asksMax: random.pick([4, 12, 60]),
    serialiseLocal: random.chance(0.5),
    messageBytesMax: 4_096,
    handlerGraceMs: random.between(5, 120),
    failuresMax: random.between(2, 4),
    windowMs: random.between(50, 400),
    coolDownMs: random.between(20, 300),
    backoffMinMs: 3,
    backoffMaxMs: 40,
    heldBytesMax: random.pick([200, 1_000, 64 * 1024]),
  }
}
