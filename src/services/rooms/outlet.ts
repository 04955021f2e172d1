// What waits for one member: frames in order, some with their content on disk. Gives its connection no more than that
// takes; what waits beyond it is limited. Knows when its member has taken nothing for too long, by being asked.
//
//     free ──connection congested, or a content begins──▶ waiting ──writable, all sent──▶ free
//                                                             └── over a limit ──▶ dropped
import type { Connection } from '../../net/connection.ts'
import type { DropReason } from './counter.ts'
import type { SpooledContent } from './room-record.ts'
import { CHUNK_BYTES, type SpoolReader, type SpoolReaders } from './spool-reader.ts'

export const QUEUED_MESSAGES_MAX = 1_024
export const QUEUED_BYTES_MAX = 8 * 1024 * 1024

type OutletConnection = Pick<Connection, 'sendShared' | 'bufferedBytes' | 'congested' | 'unsentBytes' | 'open'>

interface Queued {
  readonly frame: Uint8Array
  readonly messages: number
  readonly contentBytes: number
  readonly spooled: SpooledContent | undefined
}

/** Whose output it is. */
export interface OutletOwner {
  /** It gets nothing any more. */
  drop(reason: DropReason): void
  /** A content cannot be read: the frame that has begun cannot be ended. */
  failed(error: unknown): void
  /** The member has a content, as far as its shard is concerned. */
  read(file: number): void
  delivered(contentBytes: number): void
  /** Nothing waits here any more. */
  drained(): void
}

export class Outlet {
  readonly #connection: OutletConnection
  readonly #owner: OutletOwner
  readonly #readers: SpoolReaders
  #queue: Queued[] = []
  #messages = 0
  #bytes = 0
  /** The content that is being sent. */
  #reader: SpoolReader | undefined
  #at = 0
  #isReading = false
  #isClosed = false
  /** What the connection was given, what it had taken of that when last asked, and when that changed. */
  #given = 0
  #taken = 0
  #unsent = 0
  #movedMs = 0

  constructor(connection: OutletConnection, owner: OutletOwner, readers: SpoolReaders) {
    this.#connection = connection
    this.#owner = owner
    this.#readers = readers
  }

  /** Nothing waits here; the connection may have some. */
  get isEmpty(): boolean {
    return this.#queue.length === 0 && this.#reader === undefined
  }

  /** Frames that never change, `messages` of them. With `spooled` one frame, without its content. */
  push(frame: Uint8Array, messages: number, contentBytes: number, spooled?: SpooledContent): void {
    if (this.#isClosed) return
    if (spooled === undefined && this.isEmpty && !this.#connection.congested) {
      this.#send(frame, messages)
      this.#owner.delivered(contentBytes)
      return
    }
    this.#queue.push({ frame, messages, contentBytes, spooled })
    this.#messages += messages
    this.#bytes += frame.length
    this.pump()
    if (this.#messages > QUEUED_MESSAGES_MAX || this.#bytes > QUEUED_BYTES_MAX) this.#owner.drop('queue')
  }

  /** Gives the connection what it takes now. */
  pump(): void {
    if (this.#isClosed) return
    while (!this.#connection.congested) {
      if (this.#reader !== undefined) {
        if (!this.#isReading) this.#readOn(this.#reader)
        return
      }
      const next = this.#queue.shift()
      if (next === undefined) return
      this.#messages -= next.messages
      this.#bytes -= next.frame.length
      // A message counts with its last bytes.
      this.#send(next.frame, next.spooled === undefined ? next.messages : 0)
      if (next.spooled === undefined) this.#owner.delivered(next.contentBytes)
      else this.#reader = this.#readers.enter(next.spooled)
      this.#at = 0
      if (this.isEmpty) this.#owner.drained()
    }
  }

  /** Everything in memory that does not stand behind a content on disk, whatever the connection says: it ends. */
  flush(): void {
    while (!this.#isClosed && this.#reader === undefined) {
      const next = this.#queue[0]
      if (next === undefined || next.spooled !== undefined) return
      this.#queue.shift()
      this.#send(next.frame, next.messages)
      this.#owner.delivered(next.contentBytes)
    }
  }

  /** Asks how it goes; true: something waits, and nothing of it was taken for `timeoutMs`. */
  isStalled(nowMs: number, timeoutMs: number): boolean {
    const { bufferedBytes } = this.#connection
    if (bufferedBytes === 0) {
      // What waits then waits for the disk. And its time begins when something waits: never early.
      this.#movedMs = 0
      return false
    }
    // What the kernel takes of one write shows in the second only.
    const taken = this.#given - bufferedBytes
    const unsent = this.#connection.unsentBytes() - bufferedBytes
    if (this.#movedMs === 0 || taken > this.#taken || unsent < this.#unsent) this.#movedMs = nowMs
    this.#taken = taken
    this.#unsent = unsent
    return nowMs - this.#movedMs >= timeoutMs
  }

  close(): void {
    this.#isClosed = true
    this.#queue = []
    this.#reader?.leave()
    this.#reader = undefined
  }

  #readOn(reader: SpoolReader): void {
    this.#isReading = true
    const at = this.#at
    reader.chunk(at, (chunk, error) => {
      this.#isReading = false
      if (this.#isClosed) return
      if (chunk === undefined) {
        this.#owner.failed(error)
        return
      }
      this.#at = at + CHUNK_BYTES
      this.#send(chunk, this.#at >= reader.content.bytes ? 1 : 0)
      this.#owner.delivered(chunk.length)
      if (this.#at >= reader.content.bytes) {
        this.#reader = undefined
        reader.leave()
        this.#owner.read(reader.content.file)
        if (this.isEmpty) this.#owner.drained()
      }
      this.pump()
    })
  }

  #send(bytes: Uint8Array, messages: number): void {
    this.#given += bytes.length
    this.#connection.sendShared(bytes, messages, true)
  }
}
