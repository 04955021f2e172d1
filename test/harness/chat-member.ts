// One client of a chat that sends numbered messages, a few in flight, or listens, or both, and notices whatever must not
// happen: an answer out of order, an id that does not rise, a push that comes twice, out of order, or before the ACK of
// its own message.
import { connect, type Socket } from 'node:net'
import { ackIdOf, messagePacket, PONG, packet, subscribed } from './chat-packet.ts'

const FAULTS_KEPT = 5
/** Before it tries again to connect. */
const RETRY_MS = 50
const NOTICE = /^\{"packet_type":"(Typing|Status)",/
const PUSHED = /^\{"packet_type":"Message","chat_id":(\d+),"message":\{"id":(\d+),"chat_id":\1,.*?"content":"([^"]*)"/

export interface MemberOptions {
  readonly port: number
  /** Begins each of its messages: no two members share it. */
  readonly name: string
  readonly chatId: number
  /** The user its first packet names, which decides the shard it is served on. Default 1. */
  readonly userId?: number
  /** Messages in flight. Default 1; 0 only listens. */
  readonly window?: number
  readonly subscribes?: boolean
  /** Comes back when the connection ends; otherwise that is the end. */
  readonly reconnects?: boolean
  /** Is added to each message. */
  readonly padding?: string
}

export class ChatMember implements Disposable {
  readonly options: MemberOptions
  /** Content → id. */
  readonly acked = new Map<string, number>()
  /** Errors in place of an ACK, in order. */
  readonly refused: string[] = []
  /** What was pushed to it, in order. */
  readonly pushed: { readonly id: number; readonly content: string }[] = []
  /** Pushes of who types and who is there. */
  readonly notices: string[] = []
  readonly faults: string[] = []
  /** Lines that answer nothing and push nothing: last words of the server. */
  readonly others: string[] = []
  /** Connections that came to an end. */
  ends = 0
  sent = 0
  /** Contents whose answer was an error: a store that died may have kept them all the same. */
  readonly #doubtful = new Set<string>()
  readonly #window: number
  /** What is to be answered, in order: a whole line, or the content of a message. */
  readonly #expected: { readonly line?: string; readonly content?: string }[] = []
  #socket: Socket | undefined
  #isSending = false
  #isOver = false
  #lastId = 0
  #rest = ''
  #retry: NodeJS.Timeout | undefined
  #isWelcome = false

  constructor(options: MemberOptions) {
    this.options = options
    this.#window = options.window ?? 1
    this.#connect()
  }

  /** Connected, placed and, if it wants that, subscribed. */
  get isReady(): boolean {
    return this.#isWelcome && this.#expected.every(({ line }) => line === undefined)
  }

  /** Nothing of it is to be answered. */
  get isQuiet(): boolean {
    return this.#expected.length === 0
  }

  get socket(): Socket | undefined {
    return this.#socket
  }

  start(): void {
    this.#isSending = true
    this.#fill()
  }

  stop(): void {
    this.#isSending = false
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    clearTimeout(this.#retry)
    this.#socket?.destroy()
  }

  #connect(): void {
    const { port, userId = 1, subscribes = false, chatId } = this.options
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket = socket
    this.#expected.length = 0
    this.#rest = ''
    this.#isWelcome = false
    // Lines and pushes are ASCII but for error texts, which are kept whole by the newline.
    socket.setEncoding('utf8')
    socket.on('connect', () => {
      this.#ask(packet('Ping', { user_id: userId }), PONG)
      if (subscribes) this.#ask(packet('Subscribe', { chat_id: chatId }), subscribed(chatId))
      this.#isWelcome = true
      this.#fill()
    })
    socket.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.#hear(line)
      this.#fill()
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => this.#ended())
  }

  #ask(request: string, line: string): void {
    this.#expected.push({ line })
    this.#socket?.write(request)
  }

  #fill(): void {
    if (!this.#isSending || !this.isReady) return
    let text = ''
    while (this.#expected.length < this.#window) {
      const content = `${this.options.name}-${this.sent++}${this.options.padding ?? ''}`
      this.#expected.push({ content })
      text += messagePacket(content, this.options.chatId)
    }
    if (text !== '') this.#socket?.write(text)
  }

  #hear(line: string): void {
    const push = PUSHED.exec(line)
    if (push !== null) {
      this.#pushed(Number(push[2]), push[3] ?? '')
      return
    }
    if (NOTICE.test(line)) {
      this.notices.push(line)
      return
    }
    const expected = this.#expected.shift()
    if (expected === undefined) {
      this.others.push(line)
      return
    }
    if (expected.content === undefined) {
      if (line !== expected.line) this.#fault(`${line} instead of ${expected.line}`)
      return
    }
    const id = ackIdOf(line)
    if (id === undefined) {
      this.refused.push(line)
      this.#doubtful.add(expected.content)
      return
    }
    if (id <= this.#lastId) this.#fault(`ACK ${id} behind ${this.#lastId}`)
    this.#lastId = id
    this.acked.set(expected.content, id)
  }

  #pushed(id: number, content: string): void {
    const last = this.pushed.at(-1)?.id ?? 0
    if (!(this.options.subscribes ?? false)) this.#fault(`a push without a subscription: ${id}`)
    if (id <= last) this.#fault(`push ${id} behind ${last}`)
    const isOwn = content.startsWith(`${this.options.name}-`)
    if (isOwn && this.acked.get(content) !== id && !this.#doubtful.has(content))
      this.#fault(`push ${id} before its own ACK`)
    this.pushed.push({ id, content })
  }

  #ended(): void {
    this.ends++
    this.#isWelcome = false
    this.#expected.length = 0
    if (this.#isOver || this.options.reconnects !== true) return
    this.#retry = setTimeout(() => this.#connect(), RETRY_MS)
  }

  #fault(what: string): void {
    if (this.faults.length < FAULTS_KEPT) this.faults.push(`${this.options.name}: ${what}`)
  }
}
