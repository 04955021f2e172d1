// A connection in a room, whether it speaks or only listens: logs in, and checks what it hears of each sender.
import { encodeFrame, HEADER_BYTES_MAX, MESSAGE_TYPE } from '../../../services/rooms/descriptor.ts'
import { type FrameCourse, FrameParser, type FrameSink } from '../../../services/rooms/frame-parser.ts'
import type { MemberListener } from '../audience.ts'
import type { LinkAddress, LinkListener } from '../link.ts'
import type { Follower } from '../subscriber.ts'
import { TcpLink } from '../tcp-link.ts'
import type { RoomCompany } from './company.ts'
import { HearingBook } from './order.ts'

/** What the server itself says is shorter; what others say in the room meanwhile may be skipped. */
const FOREIGN_BYTES_MAX = 4_096
const FROM_SERVER = Buffer.from('"from":"server"')
const REFUSAL_CHARACTERS_MAX = 80
const REFUSALS: Readonly<Record<number, string>> = {
  [MESSAGE_TYPE.usernameExists]: 'the name is in use',
  [MESSAGE_TYPE.badUsername]: 'the name is not allowed',
  [MESSAGE_TYPE.badLogin]: 'the login is not one',
}

export class RoomMember implements Follower, FrameSink {
  readonly tcp: TcpLink
  readonly #company: RoomCompany
  /** Of this connection among the senders; −1 when it only listens. */
  readonly #sender: number
  readonly #listener: MemberListener
  readonly #book: HearingBook
  readonly #parser = new FrameParser(this, { headerBytesMax: HEADER_BYTES_MAX })
  #state: 'connecting' | 'login' | 'open' | 'closed' = 'connecting'
  #timer: NodeJS.Timeout | undefined
  #contentBytes = 0
  #isServers = false
  /** A content that does not arrive in one piece. */
  #content: Buffer | undefined
  #have = 0

  constructor(company: RoomCompany, number: number, isSender: boolean, where: LinkAddress, listener: MemberListener) {
    this.#company = company
    this.#sender = isSender ? number : -1
    this.#listener = listener
    this.#book = new HearingBook(company.order, company.senders)
    this.tcp = new TcpLink(where, company.timeoutMs, {
      opened: () => this.#login(number),
      arrived: (bytes, end) => void this.#parser.push(bytes, 0, end),
      closed: (kind, detail) =>
        this.#finish(kind === 'closed' && this.#state !== 'open' ? 'connect-failed' : kind, detail),
    })
  }

  get received(): number {
    return this.#book.received
  }

  get hasOtherOrder(): boolean {
    return this.#book.hasOtherOrder
  }

  close(): void {
    this.#state = 'closed'
    this.#parser.stop()
    clearTimeout(this.#timer)
    this.tcp.close()
  }

  begin(type: number, headerBytes: number, contentBytes: bigint): FrameCourse {
    if (this.#state === 'login') return this.#onLogin(type, headerBytes, contentBytes)
    this.#contentBytes = Number(contentBytes)
    this.#have = 0
    const isMessage = type === (this.#company.files ? MESSAGE_TYPE.file : MESSAGE_TYPE.utf8)
    const bytesMax = isMessage ? Math.max(this.#company.sizeBytes, FOREIGN_BYTES_MAX) : FOREIGN_BYTES_MAX
    const isHeard = (isMessage || type === MESSAGE_TYPE.utf8) && this.#contentBytes <= bytesMax
    return isHeard ? 'take' : 'skip'
  }

  header(bytes: Buffer): void {
    // A file name could say the same, but not in what this program sends.
    this.#isServers = bytes.includes(FROM_SERVER)
  }

  content(chunk: Buffer): void {
    if (chunk.length === this.#contentBytes) {
      this.#hear(chunk, chunk.length)
      return
    }
    this.#content ??= Buffer.allocUnsafe(Math.max(this.#company.sizeBytes, FOREIGN_BYTES_MAX))
    chunk.copy(this.#content, this.#have)
    this.#have += chunk.length
    if (this.#have === this.#contentBytes) this.#hear(this.#content, this.#have)
  }

  end(): void {}

  #login(number: number): void {
    this.#state = 'login'
    this.#timer = setTimeout(() => this.#finish('connect-timeout', ''), this.#company.timeoutMs)
    this.tcp.write(encodeFrame(MESSAGE_TYPE.login, this.#company.nameOf(number)))
  }

  #onLogin(type: number, headerBytes: number, contentBytes: bigint): FrameCourse {
    if (type !== MESSAGE_TYPE.login || headerBytes !== 0 || contentBytes !== 0n) {
      this.#finish('rejected', REFUSALS[type] ?? `an answer of type ${type}`)
      return 'stop'
    }
    clearTimeout(this.#timer)
    this.#state = 'open'
    this.#listener.opened()
    return 'skip'
  }

  #hear(bytes: Buffer, end: number): void {
    const { pattern, errors } = this.#company
    const sender = pattern.connectionOf(bytes, 0, end)
    if (sender < 0 || sender >= this.#company.senders) {
      if (this.#isServers) this.#refused(bytes.toString('utf8', 0, Math.min(end, REFUSAL_CHARACTERS_MAX)))
      return
    }
    const isOwn = sender === this.#sender
    let sequence = pattern.read(bytes, 0, end, sender)
    if (sequence < 0) {
      // Of its own messages the ledger of the connection tells.
      if (!isOwn) errors.count('mismatch', 'at a member')
      sequence = pattern.damaged
    }
    const hearing = this.#book.hear(sender, sequence)
    if (hearing !== 'duplicate') this.#company.delivered(sender, sequence)
    if (hearing !== 'heard' && !isOwn) errors.count(hearing, 'at a member')
    if (isOwn) this.#listener.received(bytes, 0, end)
  }

  #refused(text: string): void {
    if (this.#sender >= 0) this.#listener.failed(this.#book.next(this.#sender), 'failed', text)
  }

  #finish(...end: Parameters<LinkListener['closed']>): void {
    if (this.#state === 'closed') return
    this.close()
    this.#listener.closed(...end)
  }
}
