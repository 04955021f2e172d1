// What every thread of ours has: its figures and heartbeat, its log, its end of the rings, its port to main.
import type { MessagePort } from 'node:worker_threads'
import { deepFreeze } from '../config/loader.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { seatOfThread, shardOfSeat, THREAD, threadLabel } from '../lib/thread.ts'
import { FIGURE, FigureTable } from '../observe/figure.ts'
import { createLogger, type Logger } from '../observe/logger.ts'
import { ThreadMetrics } from '../observe/metrics.ts'
import { ThreadSampler } from '../observe/thread-sampler.ts'
import { Mesh } from '../ring/mesh.ts'
import type { MeshSink } from '../ring/mesh-options.ts'
import { recordBytesMaxOf } from './limits.ts'
import type { ForgetNotice, LinkNotice, NoticeToMain, NoticeToThread, ThreadData, UnlinkNotice } from './thread-data.ts'

/** A thread is called hung long after it missed several of these. */
export const BEAT_MS = 250
const WATCHDOG_MS = 500
/** A datagram over `ring.messageMax` is a fault each, and strangers send those. */
const FAULTS_LOGGED_PER_SECOND = 5
/** Log characters between two beats; what is more is dropped and counted. */
const LOG_CHARACTERS_MAX = 1024 * 1024

export class ThreadBase {
  readonly data: ThreadData
  readonly clock: Clock = systemClock
  readonly table: FigureTable
  readonly figures: Float64Array
  readonly log: Logger
  readonly metrics = new ThreadMetrics()
  readonly mesh: Mesh
  readonly #port: MessagePort
  readonly #sampler: ThreadSampler
  #lines = ''
  #linesScheduled = false
  #charactersLeft = LOG_CHARACTERS_MAX
  #linesDropped = 0
  #beats = 0
  #early: NoticeToThread[] | undefined = []
  #openTo: readonly number[] = []

  constructor(data: ThreadData, port: MessagePort, sink: MeshSink) {
    this.data = data
    this.#port = port
    deepFreeze(data.config)
    this.table = new FigureTable(data.figures)
    this.figures = this.table.row(data.thread)
    const shard = data.thread < THREAD.firstShard ? -1 : shardOfSeat(seatOfThread(data.thread))
    const { heapLimit } = data.config.shard
    this.#sampler = new ThreadSampler(this.figures, shard < 0 || heapLimit === 'auto' ? undefined : heapLimit)
    this.log = createLogger({
      level: data.config.log.level,
      write: (line) => this.#write(line),
      base: shard >= 0 ? { thread: 'shard', shard } : { thread: threadLabel(data.thread) },
    })
    const faults = this.log.limited('ring.fault', FAULTS_LOGGED_PER_SECOND)
    this.mesh = new Mesh({
      self: data.thread,
      generation: data.generation & 0xffff,
      doorbells: data.doorbells,
      requestLink: (peer) => this.tell({ kind: 'want-link', peer }),
      sink,
      beginTurn: () => this.enterTurn(),
      leaveTurn: () => this.leaveTurn(),
      overflowBytesMax: data.config.ring.overflow,
      messageBytesMax: recordBytesMaxOf(data.config),
      bell: data.config.ring.doorbell === 'port' ? 'port' : 'wait-async',
      clock: this.clock,
      onFault: (fault) => faults.warn(fault),
    })
    port.on('message', (notice: NoticeToThread) => {
      if (this.#early === undefined || this.#isOpenTo(notice)) this.#take(notice)
      else this.#early.push(notice)
    })
    // Not unref'd, and never stopped: a thread lives until main ends it.
    setInterval(() => this.#beat(), BEAT_MS)
    this.#beat()
  }

  /**
   * From here on records come in, and notices. Before, nobody is there to handle them: what a predecessor left unread in
   * the rings must wait until the modules are loaded.
   */
  open(): void {
    const early = this.#early ?? []
    this.#early = undefined
    for (const notice of early) this.#take(notice)
  }

  /** The same for what these threads send. */
  openTo(...threads: readonly number[]): void {
    this.#openTo = threads
    const early = this.#early ?? []
    this.#early = early.filter((notice) => !this.#isOpenTo(notice))
    for (const notice of early) if (this.#isOpenTo(notice)) this.#take(notice)
  }

  #isOpenTo(notice: NoticeToThread): boolean {
    const thread = threadOf(notice)
    return thread !== undefined && this.#openTo.includes(thread)
  }

  #take(notice: NoticeToThread): void {
    if (notice.kind === 'link') this.mesh.attach(notice.end)
    else if (notice.kind === 'unlink') this.mesh.detach(notice.peer)
    else if (notice.kind === 'forget') this.mesh.forget(notice.peer)
    else this.onNotice(notice)
  }

  /** Called with what main says beyond links. */
  onNotice: (notice: Exclude<NoticeToThread, LinkNotice | UnlinkNotice | ForgetNotice>) => void = () => {}

  /** Called around what one turn of the rings brings. */
  enterTurn: () => void = () => {}
  leaveTurn: () => void = () => {}

  /** Called with every beat, for figures that others own. */
  onBeat: () => void = () => {}

  #beat(): void {
    this.table.beat(this.data.thread)
    this.#sampler.sample()
    if (++this.#beats % (WATCHDOG_MS / BEAT_MS) === 0) this.mesh.watchdog(this.clock.nowMs())
    const stats = this.mesh.stats()
    const { figures } = this
    figures[FIGURE.ringRecordsIn] = stats.recordsIn
    figures[FIGURE.ringRecordsOut] = stats.recordsOut
    figures[FIGURE.ringFull] = stats.full
    figures[FIGURE.ringRefused] = stats.refused
    figures[FIGURE.ringWatchdogWakes] = stats.watchdogWakes
    figures[FIGURE.ringUsedBytes] = stats.usedBytes
    figures[FIGURE.ringOverflowBytes] = stats.overflowBytes
    this.onBeat()
    this.#charactersLeft = LOG_CHARACTERS_MAX
    if (this.#linesDropped > 0) {
      const lines = this.#linesDropped
      this.#linesDropped = 0
      this.log.warn('observe.log_dropped', { lines })
    }
  }

  // Lines of one turn go to main as one message.
  #write(line: string): void {
    this.#charactersLeft -= line.length
    if (this.#charactersLeft < 0) {
      this.#linesDropped++
      return
    }
    this.#lines += line
    if (this.#linesScheduled) return
    this.#linesScheduled = true
    queueMicrotask(() => {
      this.#linesScheduled = false
      const lines = this.#lines
      this.#lines = ''
      this.tell({ kind: 'log', lines })
    })
  }

  tell(notice: NoticeToMain): void {
    this.#port.postMessage(notice)
  }
}

/** The thread that a notice is about. */
function threadOf(notice: NoticeToThread): number | undefined {
  if (notice.kind === 'link') return notice.end.peer
  if (notice.kind === 'unlink' || notice.kind === 'forget') return notice.peer
  return notice.kind === 'down' ? notice.thread : undefined
}
