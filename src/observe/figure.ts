// The core figures of every thread, in shared memory: they stay readable while a thread hangs, and those of a dead
// one survive it. Knows nothing of prom-client, sockets or rings: others add to columns, main reads.
//
//   one SharedArrayBuffer: [ layout word, padded ] [ THREADS_MAX × words ] [ THREADS_MAX × figures ]
//   words of a thread:     line 0: beats, taken ×2 (written by the thread)
//                          line 1: state, generation, restarts (written by main)
//   figures of a thread:   Float64: scalars | closed by reason | refused by reason | services × service figures
//
// Each row has one writer, its thread; after the thread's `exit` it is main's until the successor starts. A figure is
// a plain Float64 load and store: JavaScript promises no tear-free Float64, but aligned 8 bytes are one store on x64
// and arm64, and a figure that is read one turn old is as good as new.
import { assert } from '../lib/assert.ts'
import { THREADS_MAX } from '../lib/thread.ts'
import {
  CLOSE_REASONS,
  type CloseReason,
  FAMILIES,
  type FamilyName,
  REFUSE_REASONS,
  type RefuseReason,
} from './family.ts'

/** Most services that have figures of their own. */
export const SERVICES_MAX = 32

/** The states of a thread. `absent`: never started, or retired. */
export const THREAD_STATE = { absent: 0, starting: 1, ready: 2, draining: 3, hung: 4, dead: 5 } as const
export type ThreadState = keyof typeof THREAD_STATE
const STATE_NAMES = Object.keys(THREAD_STATE) as ThreadState[]

/** Where one column of a row shows: the family, and its labels besides `shard` and `service`. */
export interface FigureRow {
  readonly family: FamilyName
  readonly labels?: Readonly<Record<string, string>>
}

/** Scalar figures of a thread, in the order of their columns. */
export const FIGURES = {
  utilization: { family: 'utilization' },
  delaySeconds: { family: 'delay' },
  heapUsedBytes: { family: 'heapUsed' },
  heapLimitBytes: { family: 'heapLimit' },
  bytesIn: { family: 'netBytes', labels: { direction: 'in' } },
  bytesOut: { family: 'netBytes', labels: { direction: 'out' } },
  unsentBytes: { family: 'netUnsent' },
  timersScheduled: { family: 'timersScheduled' },
  timersFired: { family: 'timersFired' },
  timersLate: { family: 'timersLate' },
  ringRecordsIn: { family: 'ringRecords', labels: { direction: 'in' } },
  ringRecordsOut: { family: 'ringRecords', labels: { direction: 'out' } },
  ringFull: { family: 'ringFull' },
  ringRefused: { family: 'ringRefused' },
  ringWatchdogWakes: { family: 'ringWatchdogWakes' },
  ringUsedBytes: { family: 'ringUsed' },
  ringOverflowBytes: { family: 'ringOverflow' },
} as const satisfies Record<string, FigureRow>
export type FigureName = keyof typeof FIGURES

/** Gauges behind them that reports show and Prometheus does not: it has them by kind, or as a histogram. */
export const REPORT_FIGURES = ['actors', 'mailboxDepth', 'turnP99Seconds'] as const

/**
 * Figures of one service on one thread. Open connections are `opened + arrived - closed - departed` (the latter two
 * moved between shards): all only ever grow. Whoever sums reads this list from its end, so that the sum is not negative.
 */
export const SERVICE_FIGURES = {
  opened: { family: 'netOpened' },
  arrived: { family: 'connections' },
  closed: { family: 'connections' },
  departed: { family: 'connections' },
  messagesIn: { family: 'netMessages', labels: { direction: 'in' } },
  messagesOut: { family: 'netMessages', labels: { direction: 'out' } },
  handoffsOk: { family: 'handoffs', labels: { result: 'ok' } },
  handoffsFailed: { family: 'handoffs', labels: { result: 'failed' } },
  handoffsRerouted: { family: 'handoffs', labels: { result: 'rerouted' } },
} as const satisfies Record<string, FigureRow>
export type ServiceFigureName = keyof typeof SERVICE_FIGURES

/** Columns of the scalar figures: `add(row, FIGURE.bytesIn, n)`. */
export const FIGURE = indexed([...(Object.keys(FIGURES) as FigureName[]), ...REPORT_FIGURES], 0)
const SERVICE_FIGURE = columnsOf(SERVICE_FIGURES)

const CLOSED_START = Object.keys(FIGURE).length
const REFUSED_START = CLOSED_START + CLOSE_REASONS.length
const SERVICES_START = REFUSED_START + REFUSE_REASONS.length
const SERVICE_COLUMNS = Object.keys(SERVICE_FIGURES).length
const CLOSED: Readonly<Record<CloseReason, number>> = indexed(CLOSE_REASONS, CLOSED_START)
const REFUSED: Readonly<Record<RefuseReason, number>> = indexed(REFUSE_REASONS, REFUSED_START)

// Rows and word lines are multiples of 128 bytes, so that no two writers share a cache line (or its prefetched pair).
const LINE_BYTES = 128
const LINE_WORDS = LINE_BYTES / 4
const ROW_COLUMNS = Math.ceil((SERVICES_START + SERVICES_MAX * SERVICE_COLUMNS) / 16) * 16
const THREAD_WORDS = 2 * LINE_WORDS
// `taken` twice: a reload has two acceptors for a while.
const WORD = { beats: 0, taken: 1, state: LINE_WORDS, generation: LINE_WORDS + 1, restarts: LINE_WORDS + 2 } as const
const ROWS_START_BYTES = LINE_BYTES + THREADS_MAX * THREAD_WORDS * 4
const TABLE_BYTES = ROWS_START_BYTES + THREADS_MAX * ROW_COLUMNS * 8

/** Changes with every column: code with another layout must not touch the memory. */
export const FIGURE_LAYOUT = layoutOf([
  ...Object.keys(FIGURE),
  ...CLOSE_REASONS,
  ...REFUSE_REASONS,
  ...Object.keys(SERVICE_FIGURES),
  `${SERVICES_MAX}x${THREADS_MAX}`,
  'taken x2',
])

/** The column of one service's figure, to be looked up once: `add(row, column, 1)`. */
export function serviceColumn(service: number, name: ServiceFigureName): number {
  assert(service >= 0 && service < SERVICES_MAX, 'a service index is below SERVICES_MAX')
  return SERVICES_START + service * SERVICE_COLUMNS + SERVICE_FIGURE[name]
}

export function closedColumn(reason: CloseReason): number {
  return CLOSED[reason]
}

export function refusedColumn(reason: RefuseReason): number {
  return REFUSED[reason]
}

/** `row[column] += amount`, which the compiler's index checks do not let one write. */
export function add(row: Float64Array, column: number, amount: number): void {
  row[column] = (row[column] as number) + amount
}

/** A connection of the service now lives on this row's thread. */
export function countOpened(row: Float64Array, service: number): void {
  add(row, SERVICES_START + service * SERVICE_COLUMNS + SERVICE_FIGURE.opened, 1)
}

/** A connection of the service has moved to this row's thread. */
export function countArrived(row: Float64Array, service: number): void {
  add(row, SERVICES_START + service * SERVICE_COLUMNS + SERVICE_FIGURE.arrived, 1)
}

/** A connection has moved away from this row's thread. */
export function countDeparted(row: Float64Array, service: number): void {
  add(row, SERVICES_START + service * SERVICE_COLUMNS + SERVICE_FIGURE.departed, 1)
}

/** A connection counted by `countOpened` or `countArrived` has ended. */
export function countClosed(row: Float64Array, service: number, reason: CloseReason): void {
  add(row, SERVICES_START + service * SERVICE_COLUMNS + SERVICE_FIGURE.closed, 1)
  add(row, CLOSED[reason], 1)
}

/** Which of the two acceptors that there may be at a time. */
export type AcceptorLine = 0 | 1

export class FigureTable {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array

  static allocate(): FigureTable {
    const memory = new SharedArrayBuffer(TABLE_BYTES)
    new Int32Array(memory)[0] = FIGURE_LAYOUT
    return new FigureTable(memory)
  }

  /** The table of another thread, over the same memory. */
  constructor(memory: SharedArrayBuffer) {
    assert(new Int32Array(memory)[0] === FIGURE_LAYOUT, 'the figure table has the layout of this code')
    this.memory = memory
    this.#words = new Int32Array(memory, LINE_BYTES, THREADS_MAX * THREAD_WORDS)
  }

  row(thread: number): Float64Array {
    assert(thread >= 0 && thread < THREADS_MAX, 'a thread index is below THREADS_MAX')
    return new Float64Array(this.memory, ROWS_START_BYTES + thread * ROW_COLUMNS * 8, ROW_COLUMNS)
  }

  /** By the thread itself: it still runs its loop. */
  beat(thread: number): void {
    Atomics.add(this.#words, thread * THREAD_WORDS + WORD.beats, 1)
  }

  /** Wraps around: compare for equality only. */
  beats(thread: number): number {
    return Atomics.load(this.#words, thread * THREAD_WORDS + WORD.beats)
  }

  /** By a shard: the number of the connection it took last from an acceptor (runtime/handover-desk.ts). */
  setTaken(thread: number, acceptor: AcceptorLine, sequence: number): void {
    Atomics.store(this.#words, thread * THREAD_WORDS + WORD.taken + acceptor, sequence)
  }

  /** Wraps around at 2^32: look at differences only. */
  taken(thread: number, acceptor: AcceptorLine): number {
    return Atomics.load(this.#words, thread * THREAD_WORDS + WORD.taken + acceptor)
  }

  state(thread: number): ThreadState {
    return STATE_NAMES[Atomics.load(this.#words, thread * THREAD_WORDS + WORD.state)] ?? 'absent'
  }

  /** By main. */
  setState(thread: number, state: ThreadState): void {
    Atomics.store(this.#words, thread * THREAD_WORDS + WORD.state, THREAD_STATE[state])
  }

  generation(thread: number): number {
    return Atomics.load(this.#words, thread * THREAD_WORDS + WORD.generation)
  }

  /** By main, before it starts a thread: the state is `starting`. Returns the thread's generation, 1 for the first. */
  begin(thread: number): number {
    this.setState(thread, 'starting')
    return Atomics.add(this.#words, thread * THREAD_WORDS + WORD.generation, 1) + 1
  }

  restarts(thread: number): number {
    return Atomics.load(this.#words, thread * THREAD_WORDS + WORD.restarts)
  }

  /** By main: the thread is being replaced because it died or hung. */
  countRestart(thread: number): void {
    Atomics.add(this.#words, thread * THREAD_WORDS + WORD.restarts, 1)
  }

  /**
   * By main, after the thread's `exit`: what it had open counts as closed, its gauges are zero. Without it the
   * connections of a crashed shard would count as open for ever. Returns how many connections were lost.
   */
  settle(thread: number, reason: CloseReason = 'restart'): number {
    const row = this.row(thread)
    let lost = 0
    for (let service = 0; service < SERVICES_MAX; service++) {
      const open = openConnections(row, service)
      lost += open
      add(row, serviceColumn(service, 'closed'), open)
    }
    add(row, closedColumn(reason), lost)
    for (const name of Object.keys(FIGURES) as FigureName[]) {
      if (FAMILIES[FIGURES[name].family].type === 'gauge') row[FIGURE[name]] = 0
    }
    for (const name of REPORT_FIGURES) row[FIGURE[name]] = 0
    return lost
  }

  /** Open connections of a thread, over all services. */
  connections(thread: number): number {
    const row = this.row(thread)
    let open = 0
    for (let service = 0; service < SERVICES_MAX; service++) open += openConnections(row, service)
    return open
  }

  /** Every thread that was started and not retired, in the order of their indexes. */
  threads(): number[] {
    const present: number[] = []
    for (let thread = 0; thread < THREADS_MAX; thread++) if (this.state(thread) !== 'absent') present.push(thread)
    return present
  }

  /** Every thread that was ever started, retired ones included: sums over them never go down. */
  everStarted(): number[] {
    const started: number[] = []
    for (let thread = 0; thread < THREADS_MAX; thread++) if (this.generation(thread) > 0) started.push(thread)
    return started
  }
}

export function figureOf(row: Float64Array, column: number): number {
  return row[column] as number
}

/** Never negative: what has left is read first, and what has come is never behind it. */
/** Share of its heap limit that a thread uses. */
export function heapShareOf(row: Float64Array): number {
  return figureOf(row, FIGURE.heapUsedBytes) / figureOf(row, FIGURE.heapLimitBytes)
}

export function openConnections(row: Float64Array, service: number): number {
  const departed = figureOf(row, serviceColumn(service, 'departed'))
  const closed = figureOf(row, serviceColumn(service, 'closed'))
  const arrived = figureOf(row, serviceColumn(service, 'arrived'))
  return figureOf(row, serviceColumn(service, 'opened')) + arrived - closed - departed
}

function columnsOf<N extends string>(table: Readonly<Record<N, FigureRow>>): Readonly<Record<N, number>> {
  return indexed(Object.keys(table) as N[], 0)
}

function indexed<N extends string>(names: readonly N[], start: number): Readonly<Record<N, number>> {
  return Object.fromEntries(names.map((name, index) => [name, start + index])) as Record<N, number>
}

// FNV-1a, made non-zero and positive: memory that was never initialised must not pass.
function layoutOf(names: readonly string[]): number {
  let hash = 0x811c9dc5
  for (const character of names.join('\n')) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  return (hash & 0x3fffffff) | 1
}
