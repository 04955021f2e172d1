// One other thread as this one sees it: what goes to it and what comes from it, on both lanes. A peer outlives its
// thread: while that is replaced, the rings fill, then the outboxes wait.
import type { MessagePort } from 'node:worker_threads'
import type { LinkEnd } from './link.ts'
import { Outbox } from './outbox.ts'
import { type RecordSink, RingReader, RingWriter } from './ring.ts'

export interface PeerOptions {
  readonly index: number
  readonly generation: number
  readonly overflowBytesMax: number
  readonly messageBytesMax: number
  readonly sink: RecordSink
  readonly onDiscard: (chunks: number) => void
}

export class Peer {
  readonly index: number
  readonly control: Outbox
  readonly data: Outbox
  /** Undefined before the first link, and while the peer's thread is being replaced. */
  port: MessagePort | undefined
  /** Something was sent and not published yet: it is in the mesh's list of the dirty. */
  dirty = false
  /** It is in the mesh's queue of peers to visit. */
  queued = false
  /** Main was asked for a link, which has not come yet. */
  linkRequested = false
  readonly #options: PeerOptions
  #controlReader: RingReader | undefined
  #dataReader: RingReader | undefined

  constructor(options: PeerOptions) {
    this.#options = options
    this.index = options.index
    this.control = new Outbox(options.generation, options.overflowBytesMax)
    this.data = new Outbox(options.generation, options.overflowBytesMax)
  }

  get linked(): boolean {
    return this.#dataReader !== undefined
  }

  /** Takes a link: the first one, or fresh ends of the same memory. Both sides continue where the shared words say. */
  connect(link: LinkEnd): void {
    this.disconnect()
    this.stop()
    // First, because a new writer goes on at the published tail: what the old one had not published would be lost.
    this.publish()
    const { messageBytesMax, onDiscard } = this.#options
    this.#controlReader?.discard()
    this.#dataReader?.discard()
    this.#controlReader = new RingReader(link.in.control, messageBytesMax, onDiscard)
    this.#dataReader = new RingReader(link.in.data, messageBytesMax, onDiscard)
    this.control.connect(new RingWriter(link.out.control))
    this.data.connect(new RingWriter(link.out.data))
    this.port = link.port
    this.linkRequested = false
  }

  /** Closes the port. The rings stay: what a dead peer published is still read, what it left unread its successor reads. */
  disconnect(): void {
    this.port?.close()
    this.port = undefined
  }

  /** Moves waiting messages on, if there was room made; true if anything may have been pushed. */
  flushWaiting(): boolean {
    if (this.control.waitingBytes === 0 && this.data.waitingBytes === 0) return false
    this.control.flush()
    this.data.flush()
    return true
  }

  /** Publishes both lanes; true if there was anything new. */
  publish(): boolean {
    const control = this.control.publish()
    return this.data.publish() || control
  }

  drainControl(budgetRecords: number): number {
    return this.#controlReader?.drain(budgetRecords, this.#options.sink) ?? 0
  }

  drainData(budgetRecords: number): number {
    return this.#dataReader?.drain(budgetRecords, this.#options.sink) ?? 0
  }

  /** Ends a drain under way after the record at hand. */
  stop(): void {
    this.#controlReader?.stop()
    this.#dataReader?.stop()
  }

  /** True if the peer waits for room in a ring that this thread has made. */
  takeRoomRequest(): boolean {
    const control = this.#controlReader?.takeRoomRequest() ?? false
    return (this.#dataReader?.takeRoomRequest() ?? false) || control
  }
}
