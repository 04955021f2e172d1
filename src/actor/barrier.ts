// Tells when everything that this thread has sent has been handled where it went. An actor, or a connection, that moves
// sends from its new thread then: what it says there must not overtake what it said here.
import { ACTOR_RECORD } from './record.ts'

export const BARRIER_BYTES = 4

export interface BarrierOptions {
  /** Threads that something was sent to, or that got slots of those. */
  readonly sentTo: () => Iterable<number>
  /** In the lane of everything else. False: no room. */
  readonly toThread: (thread: number, kind: number, head: Uint8Array, headBytes: number) => boolean
  /** In the lane of answers. */
  readonly toAsker: (thread: number, kind: number, head: Uint8Array, headBytes: number) => boolean
  /** Called again and again until it answers true. */
  readonly retry: (attempt: () => boolean) => void
  /** Whether something of that thread has come and is held, or goes on to a new owner: it has not been handled. */
  readonly holds: (source: number) => boolean
  /** Which life of its thread this is: an answer to the life before matches nothing. Default 0. */
  readonly generation?: number
}

interface Barrier {
  /** Who was asked, and who has not answered. */
  readonly asked: Set<number>
  readonly threads: Set<number>
  readonly done: () => void
}

interface Asked {
  readonly number: number
  readonly source: number
}

export class Barriers {
  readonly #options: BarrierOptions
  readonly #open = new Map<number, Barrier>()
  #asked: Asked[] = []
  #count: number

  constructor(options: BarrierOptions) {
    this.#options = options
    this.#count = ((options.generation ?? 0) << 20) >>> 0
  }

  /** Barriers of this thread that have not been passed. */
  get open(): number {
    return this.#open.size
  }

  /** Barriers that have not been passed, this thread's and others'. */
  get waiting(): number {
    return this.#open.size + this.#asked.length
  }

  /** `done` when all have handled what was sent to them before; at once if nothing was. */
  begin(done: () => void): void {
    const threads = new Set(this.#options.sentTo())
    if (threads.size === 0) {
      done()
      return
    }
    this.#count = (this.#count + 1) >>> 0
    const number = this.#count
    this.#open.set(number, { asked: new Set(threads), threads, done })
    for (const thread of threads) this.#send(thread, number)
  }

  /** A barrier of another thread has come. */
  asked(number: number, source: number): void {
    if (this.#options.holds(source)) this.#asked.push({ number, source })
    else this.#answer(number, source)
  }

  /** Another thread answers. */
  passed(number: number, thread: number): void {
    const barrier = this.#open.get(number)
    if (barrier === undefined || !barrier.threads.delete(thread) || barrier.threads.size > 0) return
    // An old owner of slots answers when all has gone on to the new one: by then this thread knows who that is.
    for (const other of this.#options.sentTo()) {
      if (barrier.asked.has(other)) continue
      barrier.asked.add(other)
      barrier.threads.add(other)
      this.#send(other, number)
    }
    if (barrier.threads.size > 0) return
    this.#open.delete(number)
    barrier.done()
  }

  /** Something that was held has been handled. */
  released(): void {
    if (this.#asked.length === 0) return
    const asked = this.#asked
    this.#asked = []
    for (const { number, source } of asked) this.asked(number, source)
  }

  threadDown(thread: number): void {
    this.#asked = this.#asked.filter(({ source }) => source !== thread)
    for (const number of [...this.#open.keys()]) this.passed(number, thread)
  }

  #send(thread: number, number: number): void {
    const attempt = (): boolean => {
      // It may have died meanwhile.
      if (this.#open.get(number)?.threads.has(thread) !== true) return true
      return this.#options.toThread(thread, ACTOR_RECORD.barrier, headOf(number), BARRIER_BYTES)
    }
    if (!attempt()) this.#options.retry(attempt)
  }

  #answer(number: number, source: number): void {
    const attempt = (): boolean => this.#options.toAsker(source, ACTOR_RECORD.passed, headOf(number), BARRIER_BYTES)
    if (!attempt()) this.#options.retry(attempt)
  }
}

function headOf(number: number): Buffer {
  const head = Buffer.alloc(BARRIER_BYTES)
  head.writeUInt32LE(number, 0)
  return head
}
