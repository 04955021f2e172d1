// The content of one message on its way in: in memory if it is small, else in a spool file that the room gives room for,
// step by step: nobody gets any by announcing a length.
//
//     asking ──a file──▶ writing ──all there──▶ finishing ──written, closed──▶ over
//       └── full ──▶ failed ◀── full, disk ──┴───────┘            (failed: the rest is read and dropped)
import { isUtf8 } from 'node:buffer'
import { appended } from '../../lib/bytes.ts'
import { MESSAGE_TYPE } from './descriptor.ts'
import { PROBLEM, type Problem } from './problem.ts'
import type { RoomLink } from './room-link.ts'
import type { SpooledContent } from './room-record.ts'
import { SpoolWriter } from './spool-writer.ts'
import { Utf8Check } from './utf8-check.ts'

/** Larger content lies on disk. */
export const MEMORY_CONTENT_BYTES_MAX = 256 * 1024
/** Room in the spool is asked for in such steps, when so little of the last one is left, and waited for at the last. */
const STEP_BYTES = 4 * 1024 * 1024
const ASK_BELOW_BYTES = 2 * 1024 * 1024
/** As much as may be read at once (`net.receiveBuffer`). */
const WAIT_BELOW_BYTES = 512 * 1024

export type Uploaded = { readonly content: Uint8Array } | { readonly spooled: SpooledContent } | Problem

export interface FrozenUpload {
  readonly type: number
  readonly contentBytes: number
  readonly received: number
  /** In memory. */
  readonly part?: Uint8Array
  readonly spool?: {
    readonly content: SpooledContent
    readonly granted: number
    readonly utf8: { readonly tail: Uint8Array; readonly valid: boolean } | undefined
  }
  readonly problem: Problem | undefined
}

export interface UploadOptions {
  /** The connection it comes from. */
  readonly id: number
  readonly link: RoomLink
  /** It may go on, or is settled. */
  readonly changed: () => void
  /** The room does not know the sender. */
  readonly gone: () => void
  readonly diskFailed: (error: unknown) => void
}

export class Upload {
  readonly #options: UploadOptions
  readonly #type: number
  readonly #contentBytes: number
  #received = 0
  #part: Buffer | undefined
  #utf8: Utf8Check | undefined
  #file: SpooledContent | undefined
  #writer: SpoolWriter | undefined
  #granted = 0
  #isAsking = false
  #problem: Problem | undefined
  #done: ((uploaded: Uploaded) => void) | undefined
  #isOver = false

  constructor(options: UploadOptions, type: number, contentBytes: number, frozen?: FrozenUpload) {
    this.#options = options
    this.#type = type
    this.#contentBytes = contentBytes
    if (frozen === undefined) {
      if (contentBytes > MEMORY_CONTENT_BYTES_MAX) this.#askFile()
      return
    }
    this.#received = frozen.received
    this.#problem = frozen.problem
    if (frozen.part !== undefined) this.#part = Buffer.from(frozen.part)
    if (frozen.spool === undefined) return
    this.#file = frozen.spool.content
    this.#granted = frozen.spool.granted
    this.#utf8 = frozen.spool.utf8 && new Utf8Check(frozen.spool.utf8)
    this.#writer = new SpoolWriter(this.#file.path, () => this.#changed(), frozen.received)
  }

  /** Its sender must wait. */
  get isBlocked(): boolean {
    if (this.#problem !== undefined || this.#isOver) return false
    if (this.#done !== undefined) return true
    if (this.#contentBytes <= MEMORY_CONTENT_BYTES_MAX) return false
    const roomBytes = this.#granted - this.#received
    const isShort = this.#granted < this.#contentBytes && roomBytes < WAIT_BELOW_BYTES
    return this.#file === undefined || isShort || this.#writer?.isFull === true
  }

  /** All of it is there, and not all is on disk. */
  get isFinishing(): boolean {
    return this.#done !== undefined
  }

  /** Nothing of it is under way: it may go on in another thread. */
  get isSettled(): boolean {
    return !this.#isAsking && this.#done === undefined && this.#writer?.isIdle !== false
  }

  /** `chunk` is valid only during the call. */
  push(chunk: Buffer): void {
    const before = this.#received
    this.#received += chunk.length
    if (this.#problem !== undefined) return
    if (this.#writer === undefined) {
      this.#part = appended(this.#part, before, chunk, 0, chunk.length)
      return
    }
    if (this.#type === MESSAGE_TYPE.utf8) {
      this.#utf8 ??= new Utf8Check()
      this.#utf8.push(chunk)
    }
    this.#writer.push(chunk)
    if (this.#granted < this.#contentBytes && this.#granted - this.#received < ASK_BELOW_BYTES) this.#askMore()
  }

  /** All of it is there. `done` is called once, at once or later. */
  finish(done: (uploaded: Uploaded) => void): void {
    this.#done = done
    if (this.#contentBytes > MEMORY_CONTENT_BYTES_MAX) {
      this.#look()
      return
    }
    const content = this.#part?.subarray(0, this.#received) ?? Buffer.alloc(0)
    this.#end(this.#type === MESSAGE_TYPE.utf8 && !isUtf8(content) ? PROBLEM.notUtf8 : { content })
  }

  /** It will not be finished. */
  abandon(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#done = undefined
    this.#giveUp()
  }

  freeze(): FrozenUpload {
    const frozen = {
      type: this.#type,
      contentBytes: this.#contentBytes,
      received: this.#received,
      problem: this.#problem,
    }
    this.#isOver = true
    const content = this.#file
    if (content !== undefined) {
      this.#writer?.close(() => {})
      return { ...frozen, spool: { content, granted: this.#granted, utf8: this.#utf8?.freeze() } }
    }
    return this.#part === undefined
      ? frozen
      : { ...frozen, part: new Uint8Array(this.#part.subarray(0, this.#received)) }
  }

  #askFile(): void {
    const { id, link } = this.#options
    const bytes = Math.min(this.#contentBytes, STEP_BYTES)
    this.#isAsking = true
    link.push({ kind: 'spool', id, bytes }, (result) => {
      this.#isAsking = false
      if (typeof result === 'object') {
        this.#file = result
        this.#granted = bytes
        if (this.#isOver) this.#giveUp()
        else this.#writer = new SpoolWriter(result.path, () => this.#changed())
      } else if (result === 'full') this.#fail()
      else if (result === 'gone') this.#options.gone()
      this.#changed()
    })
  }

  #askMore(): void {
    const { id, link } = this.#options
    const file = this.#file
    if (this.#isAsking || file === undefined) return
    const bytes = Math.min(this.#contentBytes - this.#granted, STEP_BYTES)
    this.#isAsking = true
    link.push({ kind: 'grow', id, file: file.file, bytes }, (result) => {
      this.#isAsking = false
      if (result === 'done') this.#granted += bytes
      else this.#fail()
      this.#changed()
    })
  }

  #changed(): void {
    const error = this.#writer?.error
    if (error !== undefined && this.#problem === undefined && !this.#isOver) {
      this.#options.diskFailed(error)
      this.#fail()
    }
    this.#look()
    this.#options.changed()
  }

  /** Whether it is over, if all of it is there. */
  #look(): void {
    if (this.#done === undefined || this.#isAsking) return
    if (this.#problem !== undefined) {
      this.#end(this.#problem)
      return
    }
    const [writer, file] = [this.#writer, this.#file]
    if (writer === undefined || file === undefined || !writer.isIdle || writer.written < this.#contentBytes) return
    if (this.#utf8 !== undefined && !this.#utf8.valid) {
      this.#giveUp()
      this.#end(PROBLEM.notUtf8)
      return
    }
    this.#writer = undefined
    writer.close(() => {
      // It may have been abandoned meanwhile.
      if (this.#isOver) this.#giveUp()
      else this.#end({ spooled: { ...file, bytes: this.#contentBytes } })
    })
  }

  #end(uploaded: Uploaded): void {
    const done = this.#done
    this.#isOver = true
    this.#done = undefined
    done?.(uploaded)
  }

  #fail(): void {
    this.#problem = PROBLEM.spoolFull
    this.#giveUp()
  }

  /** The room takes its file back, when nothing writes to it any more. */
  #giveUp(): void {
    const { id, link } = this.#options
    const [writer, file] = [this.#writer, this.#file]
    this.#part = undefined
    this.#file = undefined
    this.#writer = undefined
    if (file === undefined) return
    const abandoned = (): void => link.push({ kind: 'abandon', id, file: file.file })
    if (writer === undefined) abandoned()
    else writer.close(abandoned)
  }
}
