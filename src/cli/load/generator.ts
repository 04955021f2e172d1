// One generator thread: opens its share of the connections, sends by schedule (open loop) or by window (closed loop),
// counts what comes back, and reports. Knows threads only through the functions it is given.
//
//   connecting ──► waiting ──begin──► sending ──end, stop──► draining ──► done
//                     └──────────────────stop──────────────────┘
import type { Clock } from '../../lib/clock.ts'
import { Audience } from './audience.ts'
import { Conversation, type Exchange } from './conversation.ts'
import { LatencyHistogram } from './histogram.ts'
import { type HubSide, listenToHub } from './hub/link.ts'
import type { Link } from './link.ts'
import { MESSAGE_BYTES_MIN, MessagePattern } from './message.ts'
import { MessageIds } from './message-ids.ts'
import { Opening } from './opening.ts'
import type { Pacer } from './pacer.ts'
import { RoomCompany } from './rooms/company.ts'
import { listenTo } from './rooms/link.ts'
import { Schedule } from './schedule.ts'
import { Subscriber } from './subscriber.ts'
import { Tally } from './tally.ts'
import { COUNTER, counterRow, type FromGenerator, type GeneratorStart, type ToGenerator } from './thread-message.ts'

/** How often timeouts and phases are looked at. */
const SWEEP_MS = 20
/** Handshakes in progress; the ramp waits when a server is slower than it. */
const OPENING_MAX = 512
/** Messages sent in one turn of the loop before answers are read again. */
const TURN_MESSAGES_MAX = 256
/**
 * Messages nearer than this are waited for by polling, which is exact (P50 of the delay below 1 µs, against 20 to 500 µs
 * for a wake-up). But a thread that polls on a busy machine is made to wait for whole time slices: a turn that took
 * longer than `PREEMPTED_MS` ends the polling for a while.
 */
const POLL_MS = 1
const PREEMPTED_MS = 3
const NO_POLLING_MS = 1_000
/** How much earlier than polling has to begin a sleeping thread is woken, and the least that is worth a sleep. */
const WAKE_EARLY_MS = 0.3
const SLEEP_MS_MIN = 0.03
/** When no connection takes a message: how long until the next try. */
const STUCK_MS = 1
/** Unsent bytes above which a connection takes no more messages of an open loop: they go out late, and count so. */
const BUFFERED_BYTES_MAX = 1024 * 1024
/** After the end, how long an open loop that is behind may still send what was due before. */
const CATCH_UP_MS = 250
/** Quiet time after the last answer, for duplicates to show. */
const QUIET_MS = 60
/** A run that was stopped by hand does not wait longer for what is under way. */
const STOP_DRAIN_MS = 1_000

export interface GeneratorSurroundings {
  readonly clock: Clock
  threadCpuMs(): number
  createPacer(wake: () => void): Pick<Pacer, 'wakeAt' | 'close'>
  tell(message: FromGenerator): void
}

export class Generator implements Exchange {
  readonly pattern: MessagePattern
  readonly errors = new Tally()
  readonly ordered: boolean
  readonly #start: GeneratorStart
  readonly #clock: Clock
  readonly #tell: (message: FromGenerator) => void
  readonly #threadCpuMs: () => number
  readonly #pacer: Pick<Pacer, 'wakeAt' | 'close'> | undefined
  readonly #counters: Float64Array
  readonly #latency = new LatencyHistogram()
  readonly #sendLag = new LatencyHistogram()
  readonly #scratch: Buffer
  readonly #window: number
  readonly #opener: Opening
  readonly #audience: Audience
  readonly #company: RoomCompany | undefined
  readonly #open: Conversation[] = []
  #phase: 'connecting' | 'waiting' | 'sending' | 'draining' | 'done' = 'connecting'
  /** How many connections and subscribers were begun. */
  #begun = 0
  #opening = 0
  #connectStartMs = 0
  #ready: Conversation[] = []
  #flushing = false
  #turn = 0
  #schedule: Schedule | undefined
  /** When the loop turn began that polls now; Infinity while it sleeps. */
  #polledMs = Infinity
  #noPollingUntilMs = 0
  #measureMs = Infinity
  #endMs = Infinity
  #drainUntilMs = Infinity
  #lastAnswerMs = 0
  #unanswered = 0
  #sent = 0
  #answered = 0
  #wrong = 0
  #measuredAnswers = 0
  #cpuMs = Number.NaN
  #noConnectionLeft = false
  #sweeper: NodeJS.Timeout | undefined

  constructor(start: GeneratorStart, around: GeneratorSurroundings) {
    const { plan } = start
    this.#start = start
    this.#clock = around.clock
    this.#threadCpuMs = around.threadCpuMs
    this.#tell = around.tell
    this.#pacer = plan.load.kind === 'open' ? around.createPacer(() => this.#pump()) : undefined
    this.ordered = plan.transport !== 'udp'
    // A request over HTTP is always the same: its messages are only numbers in the books.
    const sizeBytes = Math.max(plan.sizeBytes, MESSAGE_BYTES_MIN)
    this.pattern = new MessagePattern(sizeBytes, plan.seed, plan.transport === 'tcp')
    this.#scratch = Buffer.alloc(sizeBytes)
    const ids = start.ids === undefined ? undefined : new MessageIds(start.ids)
    this.#audience = new Audience({
      clock: around.clock,
      errors: this.errors,
      pattern: this.pattern,
      counters: start.counters,
      thread: start.thread,
      follower: plan.rooms === undefined ? 'subscriber' : 'member',
      settled: () => void this.#opening--,
    })
    this.#company = this.#companyOf(start)
    this.#opener = new Opening(plan, start.address, ids, this.#company)
    this.#window = plan.load.kind === 'closed' ? plan.load.window : 0
    this.#counters = counterRow(start.counters, start.thread)
    this.#counters[COUNTER.sending] = 1
  }

  connect(): void {
    this.#connectStartMs = this.#clock.nowMs()
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS)
    this.#sweep()
  }

  handle(message: ToGenerator): void {
    if (message.type === 'begin') this.#begin(message)
    else this.#stop()
  }

  #begin(times: { startMs: number; measureMs: number; endMs: number }): void {
    if (this.#phase !== 'waiting') return
    const { plan, thread, first, end } = this.#start
    this.#phase = 'sending'
    this.#measureMs = times.measureMs
    this.#endMs = times.endMs
    this.#company?.measure(times.measureMs, times.endMs)
    if (plan.load.kind === 'closed') {
      for (const conversation of this.#open) this.#queue(conversation)
      return
    }
    const { ratePerSecond, poisson } = plan.load
    const share = (end - first) / plan.connections
    // Threads take turns inside a gap, so that together they are evenly spaced, too.
    const phaseMs = ((1_000 / ratePerSecond) * thread) / plan.threads / share / plan.threads
    this.#schedule = new Schedule(times.startMs + phaseMs, ratePerSecond * share, poisson, plan.seed + thread)
    this.#pump()
  }

  #stop(): void {
    if (this.#phase === 'connecting' || this.#phase === 'waiting') this.#finish()
    else if (this.#phase === 'sending') this.#drain(this.#clock.nowMs(), STOP_DRAIN_MS)
  }

  // ---- sending ----

  #send(conversation: Conversation, link: Link, dueMs: number, nowMs: number): void {
    this.pattern.write(this.#scratch, 0, conversation.number, conversation.ledger.next)
    this.#company?.sent(conversation.number, conversation.ledger.next, dueMs)
    conversation.ledger.sent(dueMs, nowMs)
    this.#unanswered++
    this.#sent++
    link.send(this.#scratch)
  }

  /** Closed loop: the conversation may send again. Its messages leave together, after all answers of this read. */
  #queue(conversation: Conversation): void {
    if (conversation.queued) return
    conversation.queued = true
    this.#ready.push(conversation)
    if (this.#flushing) return
    this.#flushing = true
    process.nextTick(this.#flush)
  }

  readonly #flush = (): void => {
    const ready = this.#ready
    this.#ready = []
    this.#flushing = false
    for (const conversation of ready) {
      conversation.queued = false
      if (conversation.place < 0 || conversation.link === undefined || this.#phase !== 'sending') continue
      const nowMs = this.#clock.nowMs()
      if (nowMs >= this.#endMs) continue
      if (conversation.ledger.full) conversation.makeRoom()
      const room = this.#window - conversation.ledger.inFlight
      if (room <= 0) continue
      conversation.link.begin()
      for (let index = 0; index < room; index++) this.#send(conversation, conversation.link, nowMs, nowMs)
      conversation.link.end()
    }
  }

  /** Open loop: sends what is due, whatever has come back. */
  readonly #pump = (): void => {
    const schedule = this.#schedule
    if (schedule === undefined || this.#phase !== 'sending') return
    let nowMs = this.#clock.nowMs()
    let stuck = false
    for (let count = 0; count < TURN_MESSAGES_MAX && schedule.dueMs <= nowMs && schedule.dueMs < this.#endMs; count++) {
      const conversation = this.#withRoom()
      if (conversation?.link === undefined) {
        stuck = true
        break
      }
      conversation.link.begin()
      this.#send(conversation, conversation.link, schedule.dueMs, nowMs)
      conversation.link.end()
      if (schedule.dueMs >= this.#measureMs) this.#sendLag.recordMs(nowMs - schedule.dueMs)
      schedule.advance()
      nowMs = this.#clock.nowMs()
    }
    this.#pumpAgain(nowMs, stuck ? nowMs + STUCK_MS : Math.min(schedule.dueMs, this.#endMs))
  }

  #pumpAgain(nowMs: number, wakeMs: number): void {
    if (nowMs - this.#polledMs > PREEMPTED_MS) this.#noPollingUntilMs = nowMs + NO_POLLING_MS
    const polling = nowMs >= this.#noPollingUntilMs
    if (wakeMs - nowMs > (polling ? POLL_MS : SLEEP_MS_MIN)) {
      this.#polledMs = Infinity
      this.#pacer?.wakeAt(polling ? wakeMs - WAKE_EARLY_MS : wakeMs)
    } else {
      this.#polledMs = nowMs
      setImmediate(this.#pump)
    }
  }

  /** The next open conversation, in turn, that takes a message. */
  #withRoom(): Conversation | undefined {
    const open = this.#open
    for (let tried = 0; tried < open.length; tried++) {
      this.#turn = this.#turn + 1 < open.length ? this.#turn + 1 : 0
      const conversation = open[this.#turn]
      if (conversation?.link === undefined) continue
      if (conversation.ledger.full) conversation.makeRoom()
      if (!conversation.ledger.full && conversation.link.bufferedBytes < BUFFERED_BYTES_MAX) return conversation
    }
    return undefined
  }

  // ---- what conversations tell ----

  opened(conversation: Conversation): void {
    this.#opening--
    conversation.place = this.#open.push(conversation) - 1
    this.#count(COUNTER.opened, 1)
    this.#counters[COUNTER.open] = this.#open.length
  }

  closed(conversation: Conversation, wasOpen: boolean): void {
    if (!wasOpen) {
      this.#opening--
      this.#count(COUNTER.failed, 1)
      return
    }
    const last = this.#open.pop()
    if (last !== undefined && last !== conversation) {
      this.#open[conversation.place] = last
      last.place = conversation.place
    }
    conversation.place = -1
    this.#counters[COUNTER.open] = this.#open.length
    if (this.#open.length > 0 || this.#phase !== 'sending') return
    this.#noConnectionLeft = true
    this.#drain(this.#clock.nowMs(), 0)
  }

  answered(conversation: Conversation, dueMs: number, right: boolean): void {
    const nowMs = this.#clock.nowMs()
    this.#unanswered--
    this.#lastAnswerMs = nowMs
    if (right) this.#answered++
    else this.#wrong++
    const arrivedInside = nowMs >= this.#measureMs && nowMs < this.#endMs
    if (arrivedInside) this.#measuredAnswers++
    // Closed loop: due is when it was sent, and an answer after the end would only count if it was fast.
    if (right && (this.#window > 0 ? arrivedInside : this.#dueInside(dueMs))) this.#latency.recordMs(nowMs - dueMs)
    if (this.#window > 0 && this.#phase === 'sending') this.#queue(conversation)
  }

  missing(dueMs: number): void {
    this.#unanswered--
    // With the time waited: a message that never came back must not look faster than one that came late.
    if (this.#dueInside(dueMs)) this.#latency.recordMs(this.#clock.nowMs() - dueMs)
  }

  #dueInside(dueMs: number): boolean {
    return dueMs >= this.#measureMs && dueMs < this.#endMs
  }

  // ---- phases ----

  #sweep(): void {
    const nowMs = this.#clock.nowMs()
    if (this.#phase === 'connecting') this.#ramp(nowMs)
    if (this.#phase === 'sending' || this.#phase === 'draining') this.#expire(nowMs)
    if (this.#phase === 'sending' && nowMs >= this.#measureMs && Number.isNaN(this.#cpuMs)) {
      this.#cpuMs = -this.#threadCpuMs()
    }
    if (this.#phase === 'sending' && nowMs >= this.#endMs) {
      const behind = (this.#schedule?.dueMs ?? Infinity) < this.#endMs
      if (!behind || nowMs >= this.#endMs + CATCH_UP_MS) this.#drain(this.#endMs, this.#start.plan.timeoutMs)
    }
    if (this.#phase === 'draining') {
      const lastMs = Math.max(this.#lastAnswerMs, this.#audience.lastPushMs, this.#endMs)
      const quiet = this.#unanswered === 0 && nowMs - lastMs >= QUIET_MS
      if ((quiet && this.#audience.complete) || nowMs >= this.#drainUntilMs) this.#finish()
    }
    this.#publish()
  }

  /** What other threads and the command read. */
  #publish(): void {
    this.#counters[COUNTER.sent] = this.#sent
    this.#counters[COUNTER.answered] = this.#answered + this.#wrong
    this.#counters[COUNTER.right] = this.#answered
    this.#counters[COUNTER.unanswered] = this.#unanswered
    this.#counters[COUNTER.errors] = this.errors.total
  }

  #ramp(nowMs: number): void {
    const { plan, first, end, subscribers } = this.#start
    const perMs = (plan.rampPerSecond * (end - first)) / plan.connections / 1_000
    const wanted = end - first + subscribers.count
    // At least one at a time, or a short ramp would never start.
    const allowed = Math.ceil((nowMs - this.#connectStartMs + SWEEP_MS) * perMs)
    while (this.#begun < Math.min(wanted, allowed) && this.#opening < OPENING_MAX) {
      this.#opening++
      const number = first + this.#begun++
      if (number < end) this.#connect(number)
      else this.#subscribe(subscribers.first + number - end)
    }
    if (this.#begun < wanted || this.#opening > 0) return
    this.#phase = 'waiting'
    this.#tell({ type: 'connected', opened: this.#open.length })
  }

  #connect(number: number): void {
    const conversation = new Conversation(number, this, Math.max(this.#window, 4))
    conversation.link = this.#opener.link(number, conversation)
  }

  #subscribe(number: number): void {
    const { plan } = this.#start
    const { chat, hub, timeoutMs } = plan
    const company = this.#company
    const where = this.#opener.address(number)
    const audience = this.#audience
    if (chat !== undefined) audience.add(new Subscriber(chat, timeoutMs, where, audience))
    else if (company !== undefined) {
      const side: HubSide | undefined = hub && { plan, hub, company }
      audience.add(side ? listenToHub(side, where, audience) : listenTo(company, number, where, audience))
    }
  }

  #expire(nowMs: number): void {
    const sentBeforeMs = nowMs - this.#start.plan.timeoutMs
    for (const conversation of this.#open) {
      conversation.expire(sentBeforeMs)
      if (this.#window > 0 && this.#phase === 'sending' && conversation.ledger.inFlight < this.#window) {
        this.#queue(conversation)
      }
    }
  }

  #drain(endMs: number, drainMs: number): void {
    const nowMs = this.#clock.nowMs()
    this.#phase = 'draining'
    this.#publish()
    this.#counters[COUNTER.sending] = 0
    this.#endMs = endMs
    this.#company?.measure(this.#measureMs, endMs)
    this.#drainUntilMs = nowMs + drainMs + QUIET_MS
    if (Number.isNaN(this.#cpuMs)) this.#cpuMs = 0
    else this.#cpuMs += this.#threadCpuMs()
    const schedule = this.#schedule
    if (schedule === undefined) return
    let unsent = 0
    for (; schedule.dueMs < endMs; schedule.advance()) {
      unsent++
      if (this.#dueInside(schedule.dueMs)) this.#latency.recordMs(nowMs - schedule.dueMs)
    }
    this.errors.count('unsent', '', unsent)
  }

  #finish(): void {
    if (this.#phase === 'done') return
    for (const conversation of this.#open) conversation.expire(Infinity)
    this.#publish()
    this.#counters[COUNTER.sending] = 0
    this.#audience.audit()
    this.#phase = 'done'
    // Closing the links may still count something; the report is what was known here.
    const errors = this.errors.counts()
    clearInterval(this.#sweeper)
    this.#pacer?.close()
    for (const conversation of this.#open) conversation.link?.close()
    this.#audience.close()
    this.#counters[COUNTER.open] = 0
    this.#tell({
      type: 'done',
      result: {
        errors,
        latency: this.#latency.encode(),
        sendLag: this.#sendLag.encode(),
        ...(this.#company === undefined
          ? {}
          : { fanOut: { deliveries: this.#company.measured, latency: this.#company.latency.encode() } }),
        sent: this.#sent,
        answered: this.#answered,
        wrong: this.#wrong,
        measuredAnswers: this.#measuredAnswers,
        // Neither time is set when the run never began.
        measuredMs: this.#endMs > this.#measureMs ? this.#endMs - this.#measureMs : 0,
        cpuMs: Number.isNaN(this.#cpuMs) ? 0 : this.#cpuMs,
        noConnectionLeft: this.#noConnectionLeft,
      },
    })
  }

  #companyOf({ plan, sendTimes }: GeneratorStart): RoomCompany | undefined {
    const { rooms } = plan
    if (sendTimes === undefined) return undefined
    return new RoomCompany({
      plan,
      files: rooms?.files === true,
      sendTimes,
      pattern: this.pattern,
      audience: this.#audience,
      clock: this.#clock,
    })
  }

  #count(counter: number, times: number): void {
    this.#counters[counter] = (this.#counters[counter] ?? 0) + times
  }
}
