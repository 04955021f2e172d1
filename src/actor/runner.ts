// Runs actors: one message at a time each, in the order of their mailboxes; pauses, stops and passivates them. Knows
// nothing of where messages come from or where answers go.
import type { Clock } from '../lib/clock.ts'
import { copyOf } from '../lib/codec.ts'
import { PolyloopError } from '../lib/errors.ts'
import type { DeadReason } from '../observe/family.ts'
import { errorFields, type LimitedLogger } from '../observe/logger.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { Activation, Message } from './activation.ts'
import { Refusal } from './definition.ts'
import { type FailureLimits, judge } from './failure-policy.ts'
import { type HandlerEntry, TIMED_EVERY } from './kind.ts'
import { handlerError } from './message-record.ts'
import { methodNumber } from './record.ts'

/** Messages one actor handles before the next one's turn. */
const MESSAGES_PER_VISIT = 64
/** Messages handled before the event loop goes round. */
const MESSAGES_PER_TURN = 512

export interface RunnerOptions {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly limits: FailureLimits
  readonly mailboxMax: number
  readonly failed: LimitedLogger
  /** Runs soon, after what is on the stack. */
  readonly soon: (run: () => void) => void
  /** Runs after the event loop had its turn. */
  readonly later: (run: () => void) => void
  readonly reply: (message: Message, value: unknown) => void
  readonly replyError: (message: Message, error: PolyloopError) => void
  readonly dead: (reason: DeadReason, activation: Activation) => void
  /** It has ended, and is not to be found any more. */
  readonly gone: (activation: Activation) => void
  /** It is idle, and was told to leave. */
  readonly canLeave: (activation: Activation) => void
}

export class Runner {
  readonly #options: RunnerOptions
  #ready: Activation[] = []
  #scheduled = false

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  /** A new message. `now`: from the outside, so it may be handled on this stack. False: the mailbox is full. */
  accept(activation: Activation, message: Message, now: boolean): boolean {
    if (now && activation.status === 'idle' && activation.depth === 0 && !activation.leaving) {
      this.#handle(activation, message)
      return true
    }
    if (activation.depth >= this.#options.mailboxMax) return false
    activation.push(message)
    if (activation.status === 'idle') this.makeReady(activation)
    return true
  }

  /** Makes its state, which may take time; then it handles what waits. */
  start(activation: Activation): void {
    activation.status = 'starting'
    let state: unknown
    try {
      state = activation.kind.definition.create(activation.address.id, activation.context)
    } catch (error) {
      this.#startFailed(activation, error)
      return
    }
    if (isThenable(state)) {
      state.then(
        (value) => this.#started(activation, value),
        (error: unknown) => this.#startFailed(activation, error),
      )
    } else this.#started(activation, state)
  }

  makeReady(activation: Activation): void {
    if (activation.ready) return
    activation.ready = true
    this.#ready.push(activation)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#options.soon(this.#drain)
  }

  /** Ends it: its state is forgotten, what waits in its mailbox creates it anew. */
  passivate(activation: Activation): void {
    if (activation.status !== 'idle' || activation.interleaved > 0) return
    const { definition } = activation.kind
    activation.status = 'passivating'
    let result: unknown
    try {
      result = definition.passivated?.(activation.state, activation.context)
    } catch (error) {
      this.#options.failed.error({ actor: nameOf(activation), method: 'passivated', ...errorFields(error) })
    }
    if (!isThenable(result)) {
      this.#end(activation)
      return
    }
    result.then(
      () => this.#end(activation),
      (error: unknown) => {
        this.#options.failed.error({ actor: nameOf(activation), method: 'passivated', ...errorFields(error) })
        this.#end(activation)
      },
    )
  }

  /** The idle time begins again. */
  armIdle(activation: Activation): void {
    const { idleAfterMs } = activation.kind
    if (idleAfterMs === 0) return
    const { wheel } = this.#options
    activation.handledWhenArmed = activation.handled
    if (activation.idleTimer !== undefined && wheel.rearm(activation.idleTimer, idleAfterMs)) return
    activation.idleTimer = wheel.schedule(idleAfterMs, this.#onIdle, activation)
  }

  setTimer(
    activation: Activation,
    name: string,
    delayMs: number,
    everyMs: number,
    method: string,
    argument: unknown,
  ): void {
    this.cancelTimer(activation, name)
    // A handler that goes on after its actor was given up: nobody would end the timer.
    if (activation.status === 'gone') return
    activation.timers ??= new Map()
    const handle = this.#options.wheel.schedule(delayMs, () => this.#onTimer(activation, name))
    activation.timers.set(name, { method, argument, everyMs, handle })
  }

  cancelTimer(activation: Activation, name: string): boolean {
    const timer = activation.timers?.get(name)
    if (timer === undefined) return false
    activation.timers?.delete(name)
    this.#options.wheel.cancel(timer.handle)
    return true
  }

  /** Takes everything of it off the wheel. */
  release(activation: Activation): void {
    const { wheel } = this.#options
    for (const { handle } of activation.timers?.values() ?? []) wheel.cancel(handle)
    activation.timers = undefined
    if (activation.idleTimer !== undefined) wheel.cancel(activation.idleTimer)
    if (activation.pauseTimer !== undefined) wheel.cancel(activation.pauseTimer)
    activation.idleTimer = undefined
    activation.pauseTimer = undefined
  }

  /** Pauses, as after a failure; then it starts again. */
  pause(activation: Activation, pauseMs: number): void {
    activation.status = 'backoff'
    activation.state = undefined
    activation.pauseTimer = this.#options.wheel.schedule(pauseMs, this.#onPauseOver, activation)
  }

  /** Stops it for the cool-down: whatever comes is refused. */
  quarantine(activation: Activation, coolDownMs: number): void {
    activation.status = 'failed'
    activation.state = undefined
    for (const message of activation.takeAll()) this.refuse(activation, message)
    activation.pauseTimer = this.#options.wheel.schedule(coolDownMs, this.#onCoolDownOver, activation)
  }

  /** A message to an actor that is stopped. */
  refuse(activation: Activation, message: Message): void {
    this.#options.dead('actor_failed', activation)
    this.#options.replyError(message, new PolyloopError('ACTOR_FAILED', { actor: nameOf(activation) }))
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  readonly #drain = (): void => {
    this.#scheduled = false
    let left = MESSAGES_PER_TURN
    while (left > 0 && this.#ready.length > 0) {
      const batch = this.#ready
      this.#ready = []
      for (const [index, activation] of batch.entries()) {
        if (left <= 0) {
          this.#ready = [...batch.slice(index), ...this.#ready]
          break
        }
        activation.ready = false
        left -= this.#visit(activation, Math.min(left, MESSAGES_PER_VISIT))
      }
    }
    if (this.#ready.length === 0 || this.#scheduled) return
    this.#scheduled = true
    this.#options.later(this.#drain)
  }

  #visit(activation: Activation, budget: number): number {
    let handled = 0
    // One that is about to leave only waits for its interleaved results.
    while (handled < budget && activation.status === 'idle' && !activation.leaving) {
      const message = activation.shift()
      if (message === undefined) break
      handled++
      this.#handle(activation, message)
    }
    if (activation.status === 'idle' && activation.depth > 0 && !activation.leaving) this.makeReady(activation)
    return handled
  }

  #handle(activation: Activation, message: Message): void {
    const { clock } = this.#options
    const { kind } = activation
    const entry = kind.handlers.get(message.method)
    activation.handled++
    if (entry === undefined) {
      this.#options.dead('method_unknown', activation)
      this.#options.replyError(message, new PolyloopError('ACTOR_METHOD_UNKNOWN', { actor: nameOf(activation) }))
      return
    }
    if (message.deadlineMs !== 0 && clock.nowMs() > message.deadlineMs) {
      // Its asker has had ASK_TIMEOUT.
      this.#options.dead('expired', activation)
      return
    }
    activation.status = 'busy'
    activation.current = message
    activation.interleaving = undefined
    const startMs = entry.calls++ % TIMED_EVERY === 0 ? clock.nowMs() : -1
    let result: unknown
    try {
      result = entry.run(activation.state, message.argument as never, activation.context)
    } catch (error) {
      if (startMs >= 0) countTime(entry, clock.nowMs() - startMs)
      this.#threw(activation, message, entry.method, error)
      return
    }
    if (isThenable(result)) {
      if (result === activation.interleaving) {
        this.#interleave(activation, message, entry, result, startMs < 0 ? clock.nowMs() : startMs)
        return
      }
      const fromMs = startMs < 0 ? clock.nowMs() : startMs
      result.then(
        (value) => {
          countTime(entry, clock.nowMs() - fromMs)
          this.#finished(activation, message, value)
        },
        (error: unknown) => {
          countTime(entry, clock.nowMs() - fromMs)
          this.#threw(activation, message, entry.method, error)
        },
      )
      return
    }
    if (startMs >= 0) countTime(entry, clock.nowMs() - startMs)
    this.#finished(activation, message, result)
  }

  /** Its result comes later, and the actor goes on. */
  #interleave(
    activation: Activation,
    message: Message,
    entry: HandlerEntry,
    result: PromiseLike<unknown>,
    fromMs: number,
  ): void {
    const { clock } = this.#options
    activation.interleaving = undefined
    activation.interleaved++
    const settled = (): void => {
      countTime(entry, clock.nowMs() - fromMs)
      activation.interleaved--
      if (activation.status !== 'idle' || activation.interleaved > 0) return
      if (activation.stopping) this.#stop(activation)
      else if (activation.leaving) this.#options.canLeave(activation)
    }
    result.then(
      (value) => {
        activation.kind.messages.ok.value++
        if (message.source >= 0) this.#options.reply(message, value)
        settled()
      },
      (error: unknown) => {
        this.#answerError(activation, message, entry.method, error)
        settled()
      },
    )
    this.#free(activation)
  }

  #finished(activation: Activation, message: Message, value: unknown): void {
    activation.kind.messages.ok.value++
    if (message.source >= 0) this.#options.reply(message, value)
    this.#free(activation)
  }

  #threw(activation: Activation, message: Message, method: string, error: unknown): void {
    if (this.#answerError(activation, message, method, error) === 'refused') {
      this.#free(activation)
      return
    }
    activation.current = undefined
    if (activation.status === 'gone') return
    this.#failed(activation)
  }

  #answerError(activation: Activation, message: Message, method: string, error: unknown): 'refused' | 'failed' {
    const actor = nameOf(activation)
    if (error instanceof Refusal) {
      activation.kind.messages.refused.value++
      const details = { ...error.details, actor, reason: error.message }
      this.#options.replyError(message, new PolyloopError('ACTOR_REFUSED', details))
      return 'refused'
    }
    activation.kind.messages.failed.value++
    this.#options.failed.error({ actor, method, ...errorFields(error) })
    this.#options.replyError(message, handlerError(error, actor, method))
    return 'failed'
  }

  /** The handler said so, and nothing is open any more. */
  #stop(activation: Activation): void {
    // Also one that is about to leave: what waits in its mailbox creates it anew, and that one leaves.
    activation.stopping = false
    this.passivate(activation)
  }

  /** The message is done with. */
  #free(activation: Activation): void {
    activation.current = undefined
    // It was given up on while it handled this one: it took too long to leave.
    if (activation.status !== 'busy') return
    activation.status = 'idle'
    const open = activation.interleaved > 0
    if (activation.stopping && !open) this.#stop(activation)
    else if (activation.leaving) {
      if (!open) this.#options.canLeave(activation)
    } else if (activation.depth > 0) this.makeReady(activation)
  }

  #failed(activation: Activation): void {
    const { clock, limits } = this.#options
    for (const name of [...(activation.timers?.keys() ?? [])]) this.cancelTimer(activation, name)
    activation.stopping = false
    const { failuresMs, stopped, pauseMs } = judge(activation.failuresMs, clock.nowMs(), limits)
    activation.failuresMs = failuresMs
    if (stopped) this.quarantine(activation, pauseMs)
    else this.pause(activation, pauseMs)
    if (activation.leaving) this.#options.canLeave(activation)
  }

  #started(activation: Activation, state: unknown): void {
    if (activation.status !== 'starting') return
    activation.state = state
    activation.status = 'idle'
    this.armIdle(activation)
    if (activation.leaving) this.#options.canLeave(activation)
    else if (activation.depth > 0) this.makeReady(activation)
  }

  #startFailed(activation: Activation, error: unknown): void {
    const actor = nameOf(activation)
    this.#options.failed.error({ actor, method: 'create', ...errorFields(error) })
    const message = activation.shift()
    if (message !== undefined) {
      activation.kind.messages.failed.value++
      this.#options.replyError(message, handlerError(error, actor, 'create'))
    }
    if (activation.status === 'starting') this.#failed(activation)
  }

  #end(activation: Activation): void {
    if (activation.status !== 'passivating') return
    if (activation.depth > 0) {
      // Somebody wrote meanwhile.
      this.release(activation)
      this.start(activation)
      return
    }
    this.release(activation)
    activation.status = 'gone'
    this.#options.gone(activation)
  }

  readonly #onIdle = (activation: Activation): void => {
    activation.idleTimer = undefined
    if (activation.status === 'gone') return
    const settled = activation.status === 'idle' && activation.interleaved === 0
    const silent = settled && activation.handled === activation.handledWhenArmed
    if (silent && activation.depth === 0 && (activation.timers?.size ?? 0) === 0) this.passivate(activation)
    else this.armIdle(activation)
  }

  readonly #onPauseOver = (activation: Activation): void => {
    activation.pauseTimer = undefined
    if (activation.status === 'backoff') this.start(activation)
  }

  readonly #onCoolDownOver = (activation: Activation): void => {
    activation.pauseTimer = undefined
    if (activation.status !== 'failed') return
    this.release(activation)
    activation.status = 'gone'
    this.#options.gone(activation)
  }

  #onTimer(activation: Activation, name: string): void {
    const timer = activation.timers?.get(name)
    if (timer === undefined) return
    if (timer.everyMs === 0) activation.timers?.delete(name)
    else timer.handle = this.#options.wheel.schedule(timer.everyMs, () => this.#onTimer(activation, name))
    // A repeated one that comes faster than the actor works is left out; a single one it must get.
    if (timer.everyMs > 0 && activation.depth >= this.#options.mailboxMax) return
    activation.push({ ...TIMER_MESSAGE, method: methodNumber(timer.method), argument: copyOf(timer.argument) })
    if (activation.status === 'idle') this.makeReady(activation)
  }
}

const TIMER_MESSAGE = { source: -1, index: 0, sequence: 0, deadlineMs: 0, chain: [] } as const

export function nameOf({ address }: Activation): string {
  return `${address.kind}/${address.id}`
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value instanceof Promise ||
    (typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function')
  )
}

function countTime(entry: HandlerEntry, ms: number): void {
  entry.timed++
  entry.timedMs += ms
  if (ms > entry.maxMs) entry.maxMs = ms
}
