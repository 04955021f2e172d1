// What comes from one client: frames, and what becomes of each. Reads no further than the room keeps up, and gives up on
// a frame that does not go on. Knows whether its client is in the room; the rest of its life is the member's.
import type { RejectReason } from './counter.ts'
import { CLIENT_HEADER_BYTES_MAX, LOGIN_CONTENT_BYTES_MAX, MESSAGE_TYPE } from './descriptor.ts'
import type { EdgeContext } from './edge.ts'
import { type FrameCourse, FrameParser, type FrameSink, type FrozenFrameParser } from './frame-parser.ts'
import { type MessageHeader, parseMessageHeader } from './message-header.ts'
import { PROBLEM, type Problem, unknownType } from './problem.ts'
import type { RoomLink } from './room-link.ts'
import type { TurnItem, TurnResult } from './turn.ts'
import { type FrozenUpload, Upload, type Uploaded, type UploadOptions } from './upload.ts'
import { userNameOf } from './user-name.ts'

/** What the room has not answered yet, of one client. */
export const UNANSWERED_MAX = 64
export const UNANSWERED_BYTES_MAX = 1024 * 1024
/** What waits for the room in one shard. Beyond it each client has one message there. */
export const WAITING_BYTES_MAX = 32 * 1024 * 1024

export type Refusal = 'bad_login' | 'bad_username'

/** Whose input it is. */
export interface InletOwner {
  /** `guest`: logs in. `waiting`: an answer to that is under way. `inside`: sends messages. `over`: says nothing. */
  readonly stage: 'guest' | 'waiting' | 'inside' | 'over'
  /** A login is answered with a refusal. `isLast`: and then the connection ends. */
  refuse(refusal: Refusal, isLast: boolean): void
  login(name: string): void
  leave(): void
  /** A content over `rooms.maxContentBytes` is announced. */
  tooLarge(): void
  /** The room does not know this member. */
  gone(): void
  /** The client does not go on with a frame. */
  stalled(): void
  accepted(type: number, scope: 'room' | 'private', contentBytes: number): void
  rejected(reason: RejectReason): void
  diskFailed(error: unknown): void
  readonly paused: boolean
  pause(): void
  resume(): void
  /** A message is complete and on its way. */
  finished(): void
  /** What kept it from moving may be over. */
  settledChanged(): void
}

export interface FrozenInlet {
  readonly parser: FrozenFrameParser
  readonly type: number
  readonly contentBytes: number
  readonly header: MessageHeader
  readonly refusal: Refusal | undefined
  readonly name: string | undefined
  readonly problem: Problem | undefined
  readonly upload: FrozenUpload | undefined
}

const NO_HEADER: MessageHeader = { to: undefined, fileName: undefined }

export class Inlet implements FrameSink {
  readonly #id: number
  readonly #context: EdgeContext
  readonly #link: RoomLink
  readonly #owner: InletOwner
  readonly #parser: FrameParser
  // Of the frame at hand.
  #type = 0
  #contentBytes = 0
  #header: MessageHeader = NO_HEADER
  #refusal: Refusal | undefined
  #name: string | undefined
  #problem: Problem | undefined
  #upload: Upload | undefined

  #unanswered = 0
  #unansweredBytes = 0
  #activeMs = 0
  #cancelStall: (() => void) | undefined

  constructor(id: number, context: EdgeContext, link: RoomLink, owner: InletOwner, frozen?: FrozenInlet) {
    this.#id = id
    this.#context = context
    this.#link = link
    this.#owner = owner
    this.#parser = new FrameParser(this, { headerBytesMax: CLIENT_HEADER_BYTES_MAX }, frozen?.parser)
    if (frozen === undefined) return
    this.#type = frozen.type
    this.#contentBytes = frozen.contentBytes
    this.#header = frozen.header
    this.#refusal = frozen.refusal
    this.#name = frozen.name
    this.#problem = frozen.problem
    const { upload } = frozen
    if (upload !== undefined) this.#upload = new Upload(this.#uploadOptions, upload.type, upload.contentBytes, upload)
    this.#watchStall()
  }

  /** Answers how many bytes were taken: fewer than all when it has paused its connection. */
  take(bytes: Buffer): number {
    this.#activeMs = this.#context.clock.nowMs()
    const taken = this.#parser.push(bytes)
    if (this.isBlocked) this.#owner.pause()
    this.#watchStall()
    return taken
  }

  /** Nothing more is to be read for now. */
  get isBlocked(): boolean {
    const { stage } = this.#owner
    if (stage === 'over') return false
    if (stage === 'waiting' || this.#upload?.isBlocked === true) return true
    if (this.#unanswered >= UNANSWERED_MAX || this.#unansweredBytes >= UNANSWERED_BYTES_MAX) return true
    return this.#unanswered > 0 && this.#link.bytes > WAITING_BYTES_MAX
  }

  /** Nothing of it is under way here. */
  get isSettled(): boolean {
    return this.#unanswered === 0 && this.#upload?.isSettled !== false
  }

  /** A message is complete, and its last bytes are on their way to the disk. */
  get isFinishing(): boolean {
    return this.#upload?.isFinishing === true
  }

  /** What blocked it may be over. */
  look(): void {
    if (this.#owner.paused && !this.isBlocked) {
      // Nobody has waited for the client meanwhile.
      this.#activeMs = this.#context.clock.nowMs()
      this.#owner.resume()
    }
    if (this.isSettled) this.#owner.settledChanged()
  }

  freeze(): FrozenInlet {
    this.#cancelStall?.()
    return {
      parser: this.#parser.freeze(),
      type: this.#type,
      contentBytes: this.#contentBytes,
      header: this.#header,
      refusal: this.#refusal,
      name: this.#name,
      problem: this.#problem,
      upload: this.#upload?.freeze(),
    }
  }

  /** Nothing more is looked at; a message that is not complete is not sent. */
  close(): void {
    this.#parser.stop()
    this.#cancelStall?.()
    this.#cancelStall = undefined
    this.#upload?.abandon()
    this.#upload = undefined
  }

  // ---- frames -----------------------------------------------------------------------------------------------------

  begin(type: number, headerBytes: number, contentBytes: bigint): FrameCourse {
    this.#type = type
    this.#contentBytes = Number(contentBytes)
    this.#header = NO_HEADER
    this.#problem = undefined
    if (this.#owner.stage === 'inside') return this.#beginMessage(type, headerBytes, contentBytes)
    if (contentBytes > LOGIN_CONTENT_BYTES_MAX) {
      this.#owner.refuse('bad_login', true)
      return 'stop'
    }
    this.#refusal = refusalOf(type, headerBytes)
    return this.#refusal === undefined ? 'take' : 'skip'
  }

  header(bytes: Buffer): void {
    if (this.#owner.stage !== 'inside') {
      this.#name = userNameOf(bytes)
      if (this.#name === undefined) this.#refusal = 'bad_username'
      return
    }
    const isFile = this.#type === MESSAGE_TYPE.file
    this.#header = parseMessageHeader(bytes, isFile)
    if (isFile && this.#header.fileName === undefined) this.#problem = PROBLEM.fileName
    else this.#upload = new Upload(this.#uploadOptions, this.#type, this.#contentBytes)
    if (this.isBlocked) this.#parser.hold()
  }

  content(chunk: Buffer): void {
    if (this.#upload === undefined) return
    this.#upload.push(chunk)
    if (this.isBlocked) this.#parser.hold()
  }

  end(): void {
    if (this.#owner.stage !== 'inside') this.#endLogin()
    else if (this.#upload === undefined) this.#push(this.#answer(this.#problem ?? PROBLEM.headerTooLong), 0)
    else this.#upload.finish((uploaded) => this.#finished(uploaded))
    if (this.isBlocked) this.#parser.hold()
  }

  #beginMessage(type: number, headerBytes: number, contentBytes: bigint): FrameCourse {
    if (type === MESSAGE_TYPE.logout) {
      this.#owner.leave()
      return 'stop'
    }
    if (contentBytes > this.#context.config.maxContentBytes) {
      this.#owner.tooLarge()
      return 'stop'
    }
    if (type < MESSAGE_TYPE.image || type > MESSAGE_TYPE.voice) this.#problem = unknownType(type)
    else if (headerBytes > CLIENT_HEADER_BYTES_MAX) this.#problem = PROBLEM.headerTooLong
    return this.#problem === undefined ? 'take' : 'skip'
  }

  #endLogin(): void {
    if (this.#refusal !== undefined) this.#owner.refuse(this.#refusal, false)
    else if (this.#name !== undefined) this.#owner.login(this.#name)
  }

  #finished(uploaded: Uploaded): void {
    this.#upload = undefined
    if ('text' in uploaded) this.#push(this.#answer(uploaded), 0)
    else this.#say(uploaded)
    this.#owner.finished()
    this.look()
  }

  #say(uploaded: Exclude<Uploaded, Problem>): void {
    const { to, fileName } = this.#header
    const content = 'content' in uploaded ? uploaded.content : undefined
    const spooled = 'spooled' in uploaded ? uploaded.spooled : undefined
    const item: TurnItem = { kind: 'say', id: this.#id, type: this.#type, to, fileName, content, spooled }
    this.#push(item, content?.length ?? 0)
  }

  // ---- the room ---------------------------------------------------------------------------------------------------

  #answer({ text, reason }: Problem): TurnItem {
    this.#owner.rejected(reason)
    return { kind: 'answer', id: this.#id, text }
  }

  #push(item: TurnItem, bytes: number): void {
    const type = this.#type
    const contentBytes = this.#contentBytes
    this.#unanswered++
    this.#unansweredBytes += bytes
    this.#link.push(item, (result) => {
      this.#unanswered--
      this.#unansweredBytes -= bytes
      this.#answered(result, type, contentBytes)
      this.look()
    })
  }

  #answered(result: TurnResult | undefined, type: number, contentBytes: number): void {
    if (result === 'room' || result === 'private') this.#owner.accepted(type, result, contentBytes)
    else if (result === 'recipient') this.#owner.rejected('recipient')
    else if (result === 'gone') this.#owner.gone()
  }

  get #uploadOptions(): UploadOptions {
    const owner = this.#owner
    return {
      id: this.#id,
      link: this.#link,
      changed: () => this.look(),
      gone: () => owner.gone(),
      diskFailed: (error) => owner.diskFailed(error),
    }
  }

  // ---- time -------------------------------------------------------------------------------------------------------

  /** One timer, armed while a frame is in pieces and left alone when it is complete: traffic costs it nothing. */
  #watchStall(): void {
    if (this.#cancelStall === undefined && this.#parser.inFrame && this.#owner.stage !== 'over')
      this.#armStall(this.#context.config.stallTimeout)
  }

  #armStall(ms: number): void {
    this.#cancelStall = this.#context.after(ms, () => {
      this.#cancelStall = undefined
      if (!this.#parser.inFrame || this.#owner.stage === 'over') return
      const { clock, config } = this.#context
      if (this.#owner.paused) this.#activeMs = clock.nowMs()
      const leftMs = this.#activeMs + config.stallTimeout - clock.nowMs()
      if (leftMs > 0) this.#armStall(leftMs)
      else this.#owner.stalled()
    })
  }
}

function refusalOf(type: number, headerBytes: number): Refusal | undefined {
  if (type !== MESSAGE_TYPE.login) return 'bad_login'
  return headerBytes > CLIENT_HEADER_BYTES_MAX ? 'bad_username' : undefined
}
