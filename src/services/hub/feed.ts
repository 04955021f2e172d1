// What one connection gets of its channels: what it missed, then live events, in order. Knows nobody's session.
//
//   awaiting ──channels know their past──▶ held ──recover, or in time──▶ replaying ──▶ open ──▶ over
//   (it was here before)    └── without offsets ───────────────────────▶ replaying ◀─────┘ a channel is known at last
import type { Connection } from '../../net/connection.ts'
import { type ChannelLog, type Receiver, Subscription } from './channel-log.ts'
import type { HubEdge } from './edge.ts'
import type { Form, HubEvent } from './event.ts'
import { mergedOf, Replay } from './replay.ts'
import type { Position } from './request.ts'
import type { KeptPosition } from './session-record.ts'

/** A client that knows its offsets says so at once after its session was restored; otherwise it gets what was buffered. */
export const RECOVER_WAIT_MS = 2_000

/** What a session missed on the channels that are known. */
export interface Past {
  readonly missed: readonly HubEvent[]
  readonly dropped: number
  /** Who missed it, and up to where. */
  readonly held: readonly (readonly [Subscription, Position])[]
  /** Else nobody knows which of the events up to there it got. */
  readonly isExact: boolean
}

export interface Recovery {
  readonly channels: ReadonlyMap<string, { readonly recovered: boolean; readonly missed: number }>
  /** Sends it, behind the reply. */
  readonly start: () => void
}

/** Whose connection it is. */
export interface Fed {
  /** Nothing in its feed keeps its client from being read any more. */
  readOn(): void
}

const NOTHING = (): void => {}

export class Feed implements Receiver {
  /** In the order of subscription. */
  readonly subscriptions = new Map<string, Subscription>()
  readonly #edge: HubEdge
  readonly #connection: Connection<unknown>
  readonly #owner: Fed
  #form: Form
  #state: 'awaiting' | 'held' | 'replaying' | 'open' | 'over' = 'open'
  #replay: Replay | undefined
  /** The client is about to say what it got last. */
  #isExpecting = false
  #cancelHold = NOTHING
  /** What is to be done when channels are known. */
  #known = NOTHING
  #cancelLate = NOTHING

  constructor(edge: HubEdge, connection: Connection<unknown>, form: Form, owner: Fed) {
    this.#edge = edge
    this.#connection = connection
    this.#form = form
    this.#owner = owner
  }

  get isLevel(): boolean {
    return this.#state === 'open'
  }

  /** Nothing is read from its client. */
  get keepsWaiting(): boolean {
    return this.#state === 'awaiting' || this.#state === 'replaying'
  }

  // ---- Receiver ---------------------------------------------------------------------------------------------------

  get isOpen(): boolean {
    return this.#connection.open
  }

  deliver(frames: Buffer, messages: number): void {
    this.#connection.sendShared(frames, messages)
  }

  // ---- subscriptions ----------------------------------------------------------------------------------------------

  subscribe(log: ChannelLog): void {
    if (this.subscriptions.has(log.channel)) return
    log.enter(this.hold(log, log.position))
  }

  unsubscribe(channel: string): void {
    const subscription = this.subscriptions.get(channel)
    if (subscription === undefined) return
    subscription.log.leave(subscription)
    this.subscriptions.delete(channel)
    this.#edge.count(channel, -1)
  }

  reform(form: Form): void {
    this.#form = form
    for (const subscription of this.subscriptions.values()) subscription.log.reform(subscription, form)
  }

  /** Subscribed where it was before; it gets nothing until `catchUp`. */
  hold(log: ChannelLog, position: Position, from = position): Subscription {
    const subscription = new Subscription(log, this, this.#form, position)
    subscription.from = from
    this.subscriptions.set(log.channel, subscription)
    this.#edge.count(log.channel, 1)
    return subscription
  }

  positions(): readonly KeptPosition[] {
    return [...this.subscriptions.values()].map((subscription) => {
      const { log, position, index } = subscription
      if (index < 0 && this.#replay !== undefined) return this.#replay.positionOf(subscription)
      return [log.channel, position.epoch, position.offset]
    })
  }

  end(): void {
    this.#state = 'over'
    this.#cancelHold()
    this.#cancelLate()
    for (const subscription of this.subscriptions.values()) {
      subscription.log.leave(subscription)
      this.#edge.count(subscription.log.channel, -1)
    }
  }

  // ---- the past ---------------------------------------------------------------------------------------------------

  /**
   * Calls back when its channels know of everything there was before; at the latest after a while, and then once more
   * whenever another of them does.
   */
  catchUp(known: () => void): void {
    this.#known = known
    this.#state = 'awaiting'
    this.#connection.pause()
    void this.#edge.catchUp(this.positions()).then(() => {
      if (this.#state !== 'over') known()
    })
  }

  /**
   * What was missed on the channels that are known. `isExact`: where it stood is known; else its shard died, and only a
   * client that says what it got last gets what came behind that: everything else might come twice.
   */
  past(isExact: boolean): Past {
    const held = this.#held()
    const behind = held.map(({ log, held: position }) => log.after(position))
    const all = isExact ? mergedOf(behind) : []
    const unknown = isExact ? 0 : behind.reduce((sum, { length }) => sum + length, 0)
    const surplus = Math.max(0, all.length - this.#edge.context.config.bufferSize)
    const lost = held.reduce((sum, { log, held: position }) => sum + log.lostAfter(position), 0)
    return {
      missed: surplus === 0 ? all : all.slice(surplus),
      dropped: lost + surplus + unknown,
      held: held.map((subscription) => [subscription, subscription.log.position]),
      isExact,
    }
  }

  /** Sends what was missed, then live events; to a client with offsets when it does not say in time what it got last. */
  give(past: Past, hasOffsets: boolean): void {
    if (this.#state === 'over') return
    if (!hasOffsets) {
      this.#give(past)
      return
    }
    this.#state = 'held'
    this.#cancelHold = this.#edge.context.after(RECOVER_WAIT_MS, () => this.#give(past))
    this.#owner.readOn()
  }

  /** Goes on with everything behind where it stood, as if nothing had been. */
  goOn(): void {
    this.#start(this.#held(), [], false)
  }

  /** The client is about to say what it got last: what is held for it waits for that. */
  expectRecover(): void {
    this.#isExpecting = true
    this.#cancelHold()
  }

  /** The client says what it got last. Answers how many events of each channel it will get, and whether that is all. */
  recover(positions: ReadonlyMap<string, Position>): Recovery {
    const wasHeld = this.#state === 'held'
    const channels = new Map<string, { recovered: boolean; missed: number }>()
    const lists: (readonly HubEvent[])[] = []
    for (const [channel, position] of positions) {
      const subscription = this.subscriptions.get(channel)
      if (subscription === undefined || !subscription.log.isReady) {
        channels.set(channel, { recovered: false, missed: 0 })
        continue
      }
      const { log } = subscription
      const missed = missedBy(subscription, position)
      channels.set(channel, { recovered: log.reaches(position), missed: missed.length })
      lists.push(missed)
      if (wasHeld) this.#edge.counters.overflow.value += log.lostAfter(position)
      subscription.from = sentFrom(subscription, position)
    }
    const ready = [...this.subscriptions.values()].filter(({ log }) => log.isReady)
    for (const subscription of ready) {
      const { log, index } = subscription
      // It has never got an event of those it does not name: what was buffered is all it missed.
      if (wasHeld && index < 0 && !positions.has(log.channel)) lists.push(log.after(subscription.held))
      log.leave(subscription)
      subscription.held = log.position
    }
    return { channels, start: () => this.#start(ready, mergedOf(lists), false) }
  }

  /** The client has read most of what waited for it. */
  caughtUp(): void {
    if (this.#state === 'replaying') this.#pump()
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  /** Held back, on channels that know where it stands. */
  #held(): readonly Subscription[] {
    return [...this.subscriptions.values()].filter(({ index, log, held }) => index < 0 && log.knows(held))
  }

  #give({ missed, dropped, held, isExact }: Past): void {
    // It may have unsubscribed meanwhile.
    const mine = held.filter(([subscription]) => this.subscriptions.get(subscription.log.channel) === subscription)
    const channels = new Set(mine.map(([{ log }]) => log.channel))
    for (const [subscription, position] of mine) {
      subscription.held = position
      if (!isExact) subscription.from = position
    }
    this.#edge.counters.overflow.value += dropped
    const events = channels.size === held.length ? missed : missed.filter(({ channel }) => channels.has(channel))
    this.#start(
      mine.map(([subscription]) => subscription),
      events,
      true,
    )
  }

  #start(held: readonly Subscription[], events: readonly HubEvent[], isBuffered: boolean): void {
    if (this.#state === 'over') return
    this.#isExpecting = false
    this.#cancelLate()
    this.#state = 'replaying'
    this.#replay = new Replay(this.#connection, held, events, isBuffered)
    this.#pump()
  }

  #pump(): void {
    const { counters } = this.#edge
    const isDone = this.#replay?.pump((event, subscription) => {
      counters.channel(event.channel)[event.typeIn(subscription?.form ?? 0)].value++
    })
    // What it sends may end the connection.
    if (isDone === undefined || !this.keepsWaiting) return
    if (!isDone) {
      this.#connection.pause()
      return
    }
    this.#replay = undefined
    this.#state = 'open'
    this.#awaitLate()
    this.#owner.readOn()
  }

  /** Channels that could not be known in time, because Redis is away: it gets nothing of them until they are. */
  #awaitLate(): void {
    const cancels: (() => void)[] = []
    for (const { index, log, held } of this.subscriptions.values()) {
      if (index < 0) cancels.push(log.whenKnows(held, () => queueMicrotask(() => this.#late())))
    }
    if (cancels.length === 0) return
    this.#cancelLate = () => {
      for (const cancel of cancels.splice(0)) cancel()
    }
  }

  #late(): void {
    // Otherwise it is looked at again when what is being sent has been.
    if (this.#state === 'open' && !this.#isExpecting && this.#held().length > 0) this.#known()
  }
}

/** What it has not been sent of what is behind a position. */
function missedBy({ log, from, index }: Subscription, position: Position): readonly HubEvent[] {
  const behind = log.after(position)
  if (index < 0) return behind
  // It has been sent everything behind `from` already.
  const sentBehind = from.epoch === log.position.epoch ? from.offset : 0
  return behind.filter(({ offset }) => offset <= sentBehind)
}

/** Where everything it is sent on this connection begins, when it is sent what is behind `position`, too. */
function sentFrom({ log, from, index }: Subscription, position: Position): Position {
  const { epoch, offset } = log.position
  // All there is of this epoch.
  if (index >= 0 && from.epoch !== epoch) return from
  if (position.epoch !== epoch) return position
  return { epoch, offset: Math.min(position.offset, index < 0 ? offset : from.offset) }
}
