// Starts threads and speaks with them: workers with their ports, notices both ways, and the wiring to main's calls.
// Decides nothing about when a thread lives; the supervisor does.
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { CoreConfig } from '../config/core-options.ts'
import { PolyloopError } from '../lib/errors.ts'
import { isAcceptor, THREAD, threadLabel } from '../lib/thread.ts'
import type { ListenerSpec } from '../net/listener-spec.ts'
import { errorFields, type Logger } from '../observe/logger.ts'
import { serveControl, within } from './control.ts'
import { entryPoint } from './entry-point.ts'
import type { LinkBook } from './link-book.ts'
import type { ThreadLife } from './supervisor.ts'
import type { MainControl, NoticeToMain, NoticeToThread, ThreadData } from './thread-data.ts'
import type { ThreadNeed } from './thread-need.ts'

/** Loading modules and starting services may take its time; more than this is a failure. */
const START_MS_MAX = 30_000
/**
 * Young generations, smaller than V8's own: it grows them in a burst of connections and keeps them. 10,000 idle
 * WebSockets cost 3.3 KiB each this way and 6.2 KiB by default, at the same CPU (bench/idle-memory.bench.ts).
 */
const YOUNG_MB = { acceptor: 4, shard: 16, bridge: 16, store: 16 } as const
/** Heap beyond `shard.heapLimit` at which V8 itself ends the thread: the guard acts long before. */
const HEAP_MARGIN = 1.1

/** What threads run with. A reload replaces it: threads that start later run with the new one. */
export interface ThreadPlan extends ThreadNeed {
  readonly config: CoreConfig
  readonly listeners: readonly ListenerSpec[]
}

/** Memory that all threads share. */
export type SharedMemory = Pick<ThreadData, 'figures' | 'slots' | 'doorbells' | 'serials' | 'buckets'>

export interface ThreadSpawnerOptions {
  readonly memory: SharedMemory
  readonly links: LinkBook
  readonly log: Logger
  readonly write: (lines: string) => void
  readonly main: MainControl
  readonly onNotice: (thread: number, notice: Exclude<NoticeToMain, { kind: 'log' | 'want-link' }>) => void
  /** Has the thread do what makes it ready. */
  readonly start: (thread: number, control: MessagePort) => Promise<void>
}

export class ThreadSpawner {
  plan: ThreadPlan
  shardCount = 0
  rawHandoff = true
  /** The acceptor that starts next gets its sockets from its predecessor. */
  inherits = false
  /** Until the process is ready. */
  rehearses = true
  readonly #options: ThreadSpawnerOptions
  readonly #workers = new Map<number, { readonly worker: Worker; readonly exited: Promise<void> }>()

  constructor(options: ThreadSpawnerOptions, plan: ThreadPlan) {
    this.#options = options
    this.plan = plan
  }

  /** Indexes of the shards' threads that live, starting ones included. */
  get shards(): readonly number[] {
    return [...this.#workers.keys()].filter((thread) => thread >= THREAD.firstShard)
  }

  /** A thread that ends meanwhile never answers: undefined. */
  answerOf<T>(thread: number, answer: PromiseLike<T>): Promise<T | undefined> {
    return Promise.race([answer, Promise.resolve(this.#workers.get(thread)?.exited).then(() => undefined)])
  }

  notify(thread: number, notice: NoticeToThread, ports: readonly MessagePort[] = []): void {
    this.#workers.get(thread)?.worker.postMessage(notice, ports as never)
  }

  notifyShards(notice: NoticeToThread): void {
    for (const thread of this.shards) this.notify(thread, notice)
  }

  spawn(thread: number, generation: number): ThreadLife {
    const { memory, links, log, main, start } = this.#options
    const name = entryOf(thread)
    const control = new MessageChannel()
    const calls = new MessageChannel()
    const { config, listeners, storeUser, usesBridge } = this.plan
    const workerData: ThreadData = {
      thread,
      generation,
      config,
      modules: config.modules,
      listeners,
      shardCount: this.shardCount,
      storeUser,
      usesBridge,
      ...memory,
      rawHandoff: this.rawHandoff,
      inherits: name === 'acceptor' && this.inherits,
      rehearses: this.rehearses,
      control: control.port2,
      main: calls.port2,
    }
    const { heapLimit } = config.shard
    const worker = new Worker(entryPoint(name), {
      workerData,
      name: `polyloop-${threadLabel(thread)}`,
      transferList: [control.port2, calls.port2],
      resourceLimits: {
        maxYoungGenerationSizeMb: YOUNG_MB[name],
        ...(name === 'shard' && heapLimit !== 'auto'
          ? { maxOldGenerationSizeMb: (heapLimit * HEAP_MARGIN) / 1024 ** 2 }
          : {}),
      },
    })
    serveControl(calls.port1, main)
    worker.on('message', (notice: NoticeToMain) => this.#onNotice(thread, notice))
    let crash: unknown
    worker.on('error', (error) => {
      crash = error
      log.error('runtime.thread_crashed', { of: threadLabel(thread), ...errorFields(error) })
    })
    const { promise: exited, resolve } = Promise.withResolvers<void>()
    const life = { worker, exited }
    worker.on('exit', () => {
      control.port1.close()
      calls.port1.close()
      if (this.#workers.get(thread) === life) this.#workers.delete(thread)
      resolve()
    })
    this.#workers.set(thread, life)
    links.up(thread, {
      link: (end, port) => worker.postMessage({ kind: 'link', end } satisfies NoticeToThread, [port] as never),
      unlink: (peer) => worker.postMessage({ kind: 'unlink', peer } satisfies NoticeToThread),
      forget: (peer) => worker.postMessage({ kind: 'forget', peer } satisfies NoticeToThread),
    })
    const died = exited.then(() => {
      const reason = crash instanceof Error ? crash.message : 'it ended while it started'
      throw new PolyloopError('THREAD_FAILED', { thread: threadLabel(thread), reason }, { cause: crash })
    })
    const started = start(thread, control.port1)
    const ready = within(START_MS_MAX, 'start', threadLabel(thread), Promise.race([started, died]))
    return { ready, exited, terminate: () => void worker.terminate() }
  }

  #onNotice(thread: number, notice: NoticeToMain): void {
    if (notice.kind === 'log') this.#options.write(notice.lines)
    else if (notice.kind === 'want-link') this.#options.links.want(thread, notice.peer)
    else this.#options.onNotice(thread, notice)
  }
}

function entryOf(thread: number): keyof typeof YOUNG_MB {
  if (thread === THREAD.store) return 'store'
  if (thread === THREAD.bridge) return 'bridge'
  return isAcceptor(thread) ? 'acceptor' : 'shard'
}

/** A call whose failure is logged and answered with undefined: the supervisor deals with dead threads. */
export async function tryCall<T>(
  log: Logger,
  call: string,
  thread: string,
  ms: number,
  answer: PromiseLike<T> | undefined,
): Promise<T | undefined> {
  if (answer === undefined) return undefined
  try {
    return await within(ms, call, thread, answer)
  } catch (error) {
    log.warn('runtime.call_failed', { call, of: thread, ...errorFields(error) })
    return undefined
  }
}
