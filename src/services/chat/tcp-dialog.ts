// One TCP connection of chat: packets in, a line for each in the same order, and pushes between them. Most requests are
// in progress together. Barriers, those whose answer depends on what came before, begin when all before them are
// answered, and nothing behind them begins before they are; so one page at a time is in memory.
//
//       ┌──────────────── answered ──────────────────┐
//       ▼                                            │
//      open ── barrier, others open ──▶ barred ──▶ serving
//       │ └─── barrier, none open ──────────────────▲
//       └───── error that closes ─────▶ ending (also from barred and serving)
import type { TopicEvent } from '../../actor/topic-connection.ts'
import { unreachable } from '../../lib/assert.ts'
import type { Connection } from '../../net/connection.ts'
import type { DoneResult } from './chat-actor.ts'
import type { ErrorReason } from './counter.ts'
import type { ChatEdge } from './edge.ts'
import { NOT_AN_OBJECT, type Packet, parsePacket, unknownType } from './packet.ts'
import { PacketDeadline } from './packet-deadline.ts'
import { type FrozenScanner, PacketScanner } from './packet-scanner.ts'
import { ackLine, DONE_LINE, errorLine, PONG_LINE, pageLine, subscriptionLine } from './reply.ts'
import { type Reply, type ReplyOutput, ReplyQueue } from './reply-queue.ts'
import { SubscriptionList } from './subscription-list.ts'
import { TEXT } from './text.ts'

/** Requests of one connection in progress; then reading pauses. */
export const REQUESTS_MAX = 128
/** Subscribers miss something, and have to read it. */
export const SUBSCRIPTION_LOST = 'subscription interrupted'
/** Replies over this size are sent without another copy. */
const LARGE_LINE_LENGTH = 16_384

type Send = Extract<Packet, { readonly type: 'SendMessage' }>
type Barrier = Extract<Packet, { readonly type: 'GetMessages' | 'Subscribe' | 'Unsubscribe' | 'Auth' }>

/** What a dialog needs to go on in another shard. */
export interface FrozenDialog {
  readonly scanner: FrozenScanner
  /** How long the packet in it has taken. */
  readonly elapsedMs: number
  /** 0: nobody has authenticated. */
  readonly userId: number
  readonly chats: readonly number[]
}

export class TcpDialog implements ReplyOutput {
  readonly #connection: Connection<TcpDialog>
  readonly #edge: ChatEdge
  readonly #scanner: PacketScanner
  readonly #deadline: PacketDeadline
  readonly #replies = new ReplyQueue(this)
  readonly #subscriptions: SubscriptionList
  #phase: 'open' | 'barred' | 'serving' | 'ending' = 'open'
  /** While barred: what waits. */
  #barrier: Barrier | undefined
  #peerEnded = false
  #userId: number
  /** The rate limit's name for this peer. */
  #bucket: string
  /** When the bytes at hand were read. */
  #readMs = 0

  constructor(connection: Connection<TcpDialog>, edge: ChatEdge, frozen?: FrozenDialog) {
    const { config, clock } = edge.context
    this.#connection = connection
    this.#edge = edge
    this.#scanner = new PacketScanner(config.maxPacketBytes, frozen?.scanner)
    this.#deadline = new PacketDeadline(edge.context, this.#scanner, this, frozen?.elapsedMs)
    this.#subscriptions = new SubscriptionList(
      connection as Connection,
      edge,
      () => this.#fail('subscription', SUBSCRIPTION_LOST),
      frozen?.chats,
    )
    this.#userId = frozen?.userId ?? 0
    this.#bucket = this.#userId === 0 ? `address:${connection.remote.address}` : `user:${this.#userId}`
    this.#readMs = clock.nowMs()
    edge.counters.connections.value++
    this.#watchSilence()
  }

  // ---- what the handler calls -------------------------------------------------------------------------------------

  /** Takes packets until something has to be waited for; answers how many bytes that were. */
  take(bytes: Buffer): number {
    const scanner = this.#scanner
    let at = 0
    this.#readMs = this.#connection.loop.nowMs
    while (at < bytes.length && !this.#blocked) {
      // Behind an error that closes, input is read into nothing.
      if (this.#phase === 'ending') return bytes.length
      const found = scanner.scan(bytes, at)
      at = scanner.position
      if (found === 'packet') this.#packet(parsePacket(scanner.bytes, scanner.start, scanner.end))
      else if (found === 'garbage') this.#packet(NOT_AN_OBJECT)
      else if (found === 'too_large')
        this.#fail('too_large', `packet larger than ${this.#edge.context.config.maxPacketBytes} bytes`)
    }
    this.#deadline.look()
    if (this.#blocked) this.#connection.pause()
    return at
  }

  /** The peer sends no more. */
  end(): void {
    this.#peerEnded = true
    if (this.#scanner.inObject) this.#fail('incomplete', TEXT.incomplete)
    else this.#goOn()
  }

  hear(event: TopicEvent): void {
    this.#subscriptions.hear(event)
  }

  /** Bytes of a topic. True: they wait here, behind requests that are open. */
  hold(bytes: Uint8Array, messages: number): boolean {
    const replies = this.#replies
    if (replies.empty) return false
    replies.push(bytes, messages)
    const { bufferedBytes, loop } = this.#connection
    if (replies.heldBytes + bufferedBytes > loop.limits.sendBufferMaxBytes)
      this.#connection.closeFor('too_slow', 1008, 'client too slow')
    return true
  }

  tooSlow(): void {
    this.#edge.counters.error('too_slow')
    this.#connection.send(errorLine(TEXT.tooSlow))
  }

  /** Output has drained. */
  writable(): void {
    this.#goOn()
  }

  /** Nothing is to be answered or pushed from here. */
  get settled(): boolean {
    return this.#replies.empty && (this.#phase === 'open' || this.#phase === 'ending')
  }

  freeze(): FrozenDialog {
    const { elapsedMs } = this.#deadline
    const frozen = { scanner: this.#scanner.freeze(), elapsedMs, userId: this.#userId }
    const chats = this.#subscriptions.freeze()
    this.close()
    return { ...frozen, chats }
  }

  /** It is gone from here. */
  close(): void {
    this.#edge.counters.connections.value--
    this.#deadline.stop()
    this.#subscriptions.close()
  }

  // ---- what the parts call ----------------------------------------------------------------------------------------

  answer(line: string, readMs: number): void {
    const connection = this.#connection
    if (line.length <= LARGE_LINE_LENGTH) connection.send(line)
    else connection.sendShared(Buffer.from(line), 1, true)
    if (readMs > 0) this.#edge.counters.ackLatency.observe((this.#edge.context.clock.nowMs() - readMs) / 1_000)
  }

  push(bytes: Uint8Array, messages: number): void {
    this.#connection.sendShared(bytes, messages, true)
  }

  get paused(): boolean {
    return this.#connection.paused
  }

  late(): void {
    this.#fail('timeout', TEXT.packetTimeout)
  }

  // ---- packets ----------------------------------------------------------------------------------------------------

  #packet(packet: Packet): void {
    const { counters, authenticator } = this.#edge
    counters.packet('tcp', packet.type === 'problem' ? packet.packetType : packet.type)
    if (authenticator !== undefined && this.#userId === 0 && packet.type !== 'Auth')
      this.#fail('auth', TEXT.authRequired)
    else if (this.#edge.admits(this.#bucket)) this.#serve(packet)
    else if (packet.type !== 'Ack') this.#refuse('rate_limited', TEXT.rateLimited, packet)
  }

  #serve(packet: Packet): void {
    switch (packet.type) {
      case 'SendMessage':
        if (this.#isOwn(packet.senderId)) this.#send(packet)
        else this.#refuse('mismatch', TEXT.tokenMismatch, packet)
        return
      case 'Ping':
        this.#replies.answer(PONG_LINE)
        return
      case 'Status':
        if (this.#isOwn(packet.userId)) this.#await(this.#edge.status(packet.userId, packet.status))
        else this.#refuse('mismatch', TEXT.tokenMismatch, packet)
        return
      case 'Typing':
        if (this.#isOwn(packet.userId)) this.#await(this.#edge.typing(packet.chatId, packet.userId))
        else this.#refuse('mismatch', TEXT.tokenMismatch, packet)
        return
      case 'Auth':
        if (this.#edge.authenticator === undefined) this.#serve(unknownType(packet.type))
        else this.#bar(packet)
        return
      case 'GetMessages':
      case 'Subscribe':
      case 'Unsubscribe':
        this.#bar(packet)
        return
      case 'Ack':
        return
      case 'problem':
        this.#refuse(packet.reason, packet.text, packet)
        return
      default:
        unreachable(packet)
    }
  }

  #send(packet: Send): void {
    const { counters } = this.#edge
    const { chatId, senderId, content, messageType: type } = packet
    const reply = this.#replies.open(this.#readMs)
    const sent = this.#edge.send(chatId, { senderId, content, type }).then((result) => {
      if (result.ok) counters.acksOk.value++
      else counters.acksFailed.value++
      this.#settle(reply, result.ok ? ackLine(result.id) : this.#refusedLine(result.text))
    })
    this.#connection.watch(sent)
  }

  /** A request that is done or not. */
  #await(result: Promise<DoneResult>): void {
    const reply = this.#replies.open(0)
    this.#connection.watch(result.then((done) => this.#settle(reply, this.#doneLine(done))))
  }

  #doneLine(result: DoneResult): string {
    return result.ok ? DONE_LINE : this.#refusedLine(result.text)
  }

  #refusedLine(text: string): string {
    this.#edge.counters.error('refused')
    return errorLine(text)
  }

  #settle(reply: Reply, line: string): void {
    this.#replies.settle(reply, line)
    this.#goOn()
  }

  // ---- barriers ---------------------------------------------------------------------------------------------------

  #bar(packet: Barrier): void {
    this.#phase = 'barred'
    this.#barrier = packet
    this.#goOn()
  }

  #begin(barrier: Barrier): void {
    this.#phase = 'serving'
    const reply = this.#replies.open(0)
    const served = this.#lineOf(barrier).then((line) => {
      if (this.#phase === 'serving') this.#phase = 'open'
      this.#settle(reply, line)
    })
    this.#connection.watch(served)
  }

  async #lineOf(barrier: Barrier): Promise<string> {
    switch (barrier.type) {
      case 'GetMessages': {
        const result = await this.#edge.page(barrier.chatId, barrier)
        return result.ok ? pageLine(barrier, result.total, result.messages) : this.#refusedLine(result.text)
      }
      case 'Subscribe': {
        const problem = await this.#subscriptions.add(barrier.chatId)
        this.#watchSilence()
        return problem === undefined ? subscriptionLine(barrier.type, barrier.chatId) : this.#refusedLine(problem)
      }
      case 'Unsubscribe':
        this.#subscriptions.remove(barrier.chatId)
        this.#watchSilence()
        return subscriptionLine(barrier.type, barrier.chatId)
      case 'Auth':
        return this.#authenticate(barrier.token)
      default:
        return unreachable(barrier)
    }
  }

  async #authenticate(token: string): Promise<string> {
    const userId = await this.#edge.authenticator?.userOf(token)
    if (userId === undefined) {
      this.#phase = 'ending'
      this.#edge.counters.error('auth')
      return errorLine(TEXT.tokenInvalid)
    }
    this.#userId = userId
    this.#bucket = `user:${userId}`
    return DONE_LINE
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  #isOwn(userId: number): boolean {
    return this.#edge.authenticator === undefined || userId === this.#userId
  }

  /** Says no to one packet. */
  #refuse(reason: ErrorReason, text: string, packet: Packet): void {
    const { counters } = this.#edge
    counters.error(reason)
    if (packet.type === 'SendMessage' || (packet.type === 'problem' && packet.packetType === 'SendMessage'))
      counters.acksFailed.value++
    this.#replies.answer(errorLine(text))
  }

  /** Says what is wrong, and closes when everything before that is answered. Once is enough. */
  #fail(reason: ErrorReason, text: string): void {
    if (this.#phase === 'ending') return
    this.#phase = 'ending'
    this.#edge.counters.error(reason)
    this.#replies.answer(errorLine(text))
    this.#goOn()
  }

  /** Input has to wait. */
  get #blocked(): boolean {
    const { requests } = this.#replies
    if (this.#phase === 'ending') return false
    return this.#phase !== 'open' || requests >= REQUESTS_MAX || this.#connection.congested
  }

  /** Something may go on: an answer has left, output has drained, or there is nothing more to come. */
  #goOn(): void {
    const connection = this.#connection
    const barrier = this.#barrier
    if (this.#phase === 'barred' && barrier !== undefined && this.#replies.empty && !connection.congested) {
      this.#barrier = undefined
      this.#begin(barrier)
    }
    const isOver = this.#phase === 'ending' || (this.#peerEnded && this.#phase === 'open')
    if (isOver && this.#replies.empty) connection.close()
    else if (connection.paused && !this.#blocked) {
      this.#deadline.renew()
      connection.resume()
    }
  }

  /** Only a connection without subscriptions may not be silent. */
  #watchSilence(): void {
    this.#connection.setTimeout(this.#subscriptions.size === 0 ? this.#edge.context.config.idleTimeout : 0)
  }
}
