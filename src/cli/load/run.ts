// One run of the load generator, seen from the command: starts the threads, times the phases, watches the server's
// process, and puts the report together.
import { lookup } from 'node:dns/promises'
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../lib/clock.ts'
import { LatencyHistogram } from './histogram.ts'
import { MessageIds } from './message-ids.ts'
import type { LoadPlan } from './plan.ts'
import { cpuNsBetween, type ProcessSample, sampleProcess } from './process-probe.ts'
import { Progress, type TextSink } from './progress.ts'
import { type FanOutReport, type RunReport, type ServerReport, warningsOf } from './report.ts'
import { SendTimes } from './rooms/send-times.ts'
import { Tally } from './tally.ts'
import {
  allocateCounters,
  COUNTER,
  type FromGenerator,
  type GeneratorResult,
  type GeneratorStart,
  sumOf,
  type ToGenerator,
} from './thread-message.ts'

/** From the word to begin until the first message: all threads have it by then. */
const START_MS = 20
/** The entry point is .ts in the repository and .js in the published package, as this file is. */
const ENTRY = new URL(`../../../workers/load${extname(import.meta.url)}`, import.meta.url)

export interface RunSurroundings {
  readonly clock: Clock
  /** Aborted when the user wants the report now. */
  readonly signal: AbortSignal
  readonly progress: TextSink
}

export async function runLoad(plan: LoadPlan, around: RunSurroundings): Promise<RunReport> {
  const { address } = await lookup(plan.host, { order: 'ipv4first' })
  await using run = new LoadRun(plan, address, around)
  return await run.report()
}

class LoadRun {
  readonly #plan: LoadPlan
  readonly #around: RunSurroundings
  readonly #counters: SharedArrayBuffer
  readonly #threads: GeneratorThread[] = []
  readonly #progress: Progress
  readonly #startMs: number
  #phase = 'connecting'
  #ticker: NodeJS.Timeout

  constructor(plan: LoadPlan, address: string, around: RunSurroundings) {
    this.#plan = plan
    this.#around = around
    this.#startMs = around.clock.nowMs()
    this.#counters = allocateCounters(plan.threads)
    const ids = plan.chat === undefined ? undefined : MessageIds.allocate()
    const shareOf = (count: number, thread: number): number => Math.floor((thread * count) / plan.threads)
    const sendTimes = fansOut(plan) ? SendTimes.allocate(plan.connections) : undefined
    const subscribers = plan.chat?.subscribers ?? listenersOf(plan)
    for (let thread = 0; thread < plan.threads; thread++) {
      const first = shareOf(plan.connections, thread)
      const end = shareOf(plan.connections, thread + 1)
      const before = shareOf(subscribers, thread)
      const followers = { first: plan.connections + before, count: shareOf(subscribers, thread + 1) - before }
      const common = { plan, address, ids, sendTimes, counters: this.#counters }
      this.#threads.push(new GeneratorThread({ ...common, thread, first, end, subscribers: followers }))
    }
    this.#progress = new Progress(around.progress)
    this.#ticker = setInterval(() => this.#show(), this.#progress.everyMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticker)
    this.#progress.end()
    await Promise.all(this.#threads.map((thread) => thread.exited()))
  }

  async report(): Promise<RunReport> {
    const plan = this.#plan
    const { clock, signal } = this.#around
    const before = this.#sample()
    const stop = (): void => this.#say({ type: 'stop' })
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    await Promise.all(this.#threads.map((thread) => thread.connected))
    const openingMs = clock.nowMs() - this.#startMs
    const connected = this.#sample()
    let begin: Moment | undefined
    let end: Moment | undefined
    const done = Promise.all(this.#threads.map((thread) => thread.done))
    if (this.#sum(COUNTER.open) === 0) stop()
    else if (!signal.aborted) {
      const startMs = clock.nowMs() + START_MS
      const measureMs = startMs + plan.warmupMs
      const endMs = measureMs + plan.durationMs
      this.#say({ type: 'begin', startMs, measureMs, endMs })
      this.#phase = 'warm-up'
      if (await this.#until(measureMs, done)) begin = this.#moment()
      this.#phase = 'measuring'
      if (begin !== undefined) {
        await this.#until(endMs, done)
        end = this.#moment()
      }
      this.#phase = 'draining'
    }
    const results = await done
    signal.removeEventListener('abort', stop)
    const server = this.#serverReport(before, connected, begin, end)
    return this.#assemble(results, openingMs, server)
  }

  /** False when the run was over, or was told to stop, before. */
  async #until(untilMs: number, done: Promise<unknown>): Promise<boolean> {
    const { clock, signal } = this.#around
    const ended = new AbortController()
    const over = AbortSignal.any([signal, ended.signal])
    void done.then(
      () => ended.abort(),
      () => ended.abort(),
    )
    await sleep(Math.max(0, untilMs - clock.nowMs()), undefined, { signal: over }).catch(() => undefined)
    return !over.aborted
  }

  #assemble(results: readonly GeneratorResult[], openingMs: number, server: ServerReport | undefined): RunReport {
    const plan = this.#plan
    const errors = new Tally()
    const latency = new LatencyHistogram()
    const sendLag = new LatencyHistogram()
    for (const result of results) {
      errors.add(result.errors)
      latency.addEncoded(result.latency)
      sendLag.addEncoded(result.sendLag)
    }
    const total = (value: (result: GeneratorResult) => number): number =>
      results.reduce((sum, result) => sum + value(result), 0)
    const sent = total((result) => result.sent)
    const answered = total((result) => result.answered)
    const wrong = total((result) => result.wrong)
    const answers = total((result) => result.measuredAnswers)
    const measuredMs = Math.max(0, ...results.map((result) => result.measuredMs))
    const endedEarly = this.#around.signal.aborted
      ? 'interrupted'
      : results.some((result) => result.noConnectionLeft) || this.#sum(COUNTER.opened) === 0
        ? 'no connection left'
        : undefined
    const open = plan.load.kind === 'open'
    const report: Omit<RunReport, 'warnings'> = {
      target: plan.url,
      ok: errors.total === 0 && sent === answered,
      ...(endedEarly === undefined ? {} : { endedEarly }),
      load: plan.load,
      sizeBytes: plan.sizeBytes,
      warmupMs: plan.warmupMs,
      durationMs: plan.durationMs,
      threads: plan.threads,
      seed: plan.seed,
      connections: {
        wanted: plan.connections,
        opened: this.#sum(COUNTER.opened),
        failed: this.#sum(COUNTER.failed),
        closedEarly: errors.of('closed'),
        openingMs,
      },
      messages: { sent, answered, wrong, missing: sent - answered - wrong, unsent: errors.of('unsent') },
      throughput: { measuredMs, answers, answersPerSecond: measuredMs === 0 ? 0 : (answers / measuredMs) * 1_000 },
      latency: latency.summary(),
      errors: { total: errors.total, ...errors.counts() },
      ...(plan.chat === undefined || plan.chat.subscribers === 0
        ? {}
        : {
            subscribers: {
              wanted: plan.chat.subscribers,
              opened: this.#sum(COUNTER.subscribed),
              pushes: this.#sum(COUNTER.pushed),
            },
          }),
      ...(fansOut(plan) ? { fanOut: this.#fanOut(results, measuredMs) } : {}),
      generator: {
        busy: results.map((result) => (result.measuredMs === 0 ? 0 : result.cpuMs / result.measuredMs)),
        cpuUsPerMessage: answers === 0 ? 0 : (total((result) => result.cpuMs) * 1_000) / answers,
        ...(open ? { sendLag: sendLag.summary() } : {}),
      },
      ...(server === undefined ? {} : { server }),
    }
    return { ...report, warnings: warningsOf(report) }
  }

  #fanOut(results: readonly GeneratorResult[], measuredMs: number): FanOutReport {
    const { connections, sizeBytes } = this.#plan
    const latency = new LatencyHistogram()
    let deliveries = 0
    for (const { fanOut } of results) {
      deliveries += fanOut?.deliveries ?? 0
      latency.addEncoded(fanOut?.latency ?? '')
    }
    const perSecond = measuredMs === 0 ? 0 : (deliveries / measuredMs) * 1_000
    return {
      members: {
        wanted: connections + listenersOf(this.#plan),
        opened: this.#sum(COUNTER.opened) + this.#sum(COUNTER.subscribed),
      },
      deliveries,
      deliveriesPerSecond: perSecond,
      bytesPerSecond: perSecond * sizeBytes,
      latency: latency.summary(),
    }
  }

  #serverReport(
    before: ProcessSample | string,
    connected: ProcessSample | string,
    begin: Moment | undefined,
    end: Moment | undefined,
  ): ServerReport | undefined {
    const { pid } = this.#plan
    if (pid === undefined) return undefined
    if (typeof before === 'string') return { pid, unavailable: before }
    if (typeof connected === 'string') return { pid, unavailable: connected }
    if (begin === undefined || end === undefined) return { pid, unavailable: 'nothing was measured' }
    if (typeof begin.sample === 'string') return { pid, unavailable: begin.sample }
    if (typeof end.sample === 'string') return { pid, unavailable: end.sample }
    const cpuNs = cpuNsBetween(begin.sample, end.sample)
    const messages = end.answered - begin.answered
    return {
      pid,
      cpuUsPerMessage: messages === 0 ? 0 : cpuNs / 1_000 / messages,
      cores: cpuNs / 1e6 / (end.atMs - begin.atMs),
      threads: end.sample.cpuNsByThread.size,
      residentBytes: {
        before: before.residentBytes,
        connected: connected.residentBytes,
        after: end.sample.residentBytes,
      },
    }
  }

  #moment(): Moment {
    return { atMs: this.#around.clock.nowMs(), answered: this.#sum(COUNTER.answered), sample: this.#sample() }
  }

  #sample(): ProcessSample | string {
    return this.#plan.pid === undefined ? '' : sampleProcess(this.#plan.pid)
  }

  #sum(counter: number): number {
    return sumOf(this.#counters, counter)
  }

  #say(message: ToGenerator): void {
    for (const thread of this.#threads) thread.say(message)
  }

  #show(): void {
    this.#progress.show({
      phase: this.#phase,
      elapsedMs: this.#around.clock.nowMs() - this.#startMs,
      open: this.#sum(COUNTER.open),
      answered: this.#sum(COUNTER.answered),
      errors: this.#sum(COUNTER.errors),
    })
  }
}

/** What one says goes to many: each delivery counts. */
function fansOut({ rooms, hub }: LoadPlan): boolean {
  return rooms !== undefined || hub !== undefined
}

function listenersOf({ rooms, hub }: LoadPlan): number {
  return rooms?.subscribers ?? hub?.subscribers ?? 0
}

/** Answers and processor time read at the same time. */
interface Moment {
  readonly atMs: number
  readonly answered: number
  readonly sample: ProcessSample | string
}

class GeneratorThread {
  /** All its connections are open or have failed; or it is done without that. */
  readonly connected: Promise<void>
  readonly done: Promise<GeneratorResult>
  readonly #worker: Worker
  readonly #exit: Promise<void>

  constructor(start: GeneratorStart) {
    this.#worker = new Worker(ENTRY, { workerData: start, name: `load-${start.thread}` })
    const connected = Promise.withResolvers<void>()
    const done = Promise.withResolvers<GeneratorResult>()
    const exit = Promise.withResolvers<void>()
    this.connected = connected.promise
    this.done = done.promise
    this.#exit = exit.promise
    this.#worker.on('message', (message: FromGenerator) => {
      if (message.type === 'done') done.resolve(message.result)
      connected.resolve()
    })
    this.#worker.on('error', (error) => done.reject(error))
    this.#worker.on('exit', (code) => {
      // Without effect when it had reported.
      done.reject(new Error(`a generator thread ended with ${code}`))
      connected.resolve()
      exit.resolve()
    })
    // Who awaits it will hear of it; until then it is not unhandled.
    done.promise.catch(() => undefined)
  }

  say(message: ToGenerator): void {
    this.#worker.postMessage(message)
  }

  async exited(): Promise<void> {
    await this.#exit
  }
}
