// A subscriber of a channel of the hub, whether it broadcasts or only listens: subscribes, and checks what it hears of each
// of those that broadcast.
import { parseFrame, stringsOf } from '../../hub/frame.ts'
import type { MemberListener } from '../audience.ts'
import type { LinkAddress, LinkListener } from '../link.ts'
import type { HubPlan, LoadPlan } from '../plan.ts'
import type { RoomCompany } from '../rooms/company.ts'
import { HearingBook } from '../rooms/order.ts'
import type { Follower } from '../subscriber.ts'
import { WsLink } from '../ws-link.ts'
import { EventEnvelope } from './event.ts'

const PATH = '/ws'
const DETAIL_CHARACTERS_MAX = 80
/** `{"type":"broadcast_ack"`: the one frame that comes as often as messages are sent, and says nothing about them. */
const ACK = Buffer.from('{"type":"broadcast_ack"')

export interface HubMemberOptions {
  readonly plan: LoadPlan
  readonly hub: HubPlan
  readonly company: RoomCompany
  /** Of this connection among those that broadcast; −1 when it only listens. */
  readonly sender: number
  readonly where: LinkAddress
}

export class HubMember implements Follower {
  readonly ws: WsLink
  readonly envelope: EventEnvelope
  readonly #company: RoomCompany
  readonly #channel: string
  readonly #sender: number
  readonly #listener: MemberListener
  readonly #book: HearingBook
  #state: 'connecting' | 'welcome' | 'subscribing' | 'open' | 'closed' = 'connecting'
  #timer: NodeJS.Timeout | undefined

  constructor({ plan, hub, company, sender, where }: HubMemberOptions, listener: MemberListener) {
    const { channel, token } = hub
    this.envelope = new EventEnvelope(channel, plan.sizeBytes)
    this.#company = company
    this.#channel = channel
    this.#sender = sender
    this.#listener = listener
    this.#book = new HearingBook(company.order, company.senders)
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    const events = {
      opened: () => {
        this.#state = 'welcome'
        this.#timer = setTimeout(() => this.#finish('connect-timeout', ''), company.timeoutMs)
      },
      received: (bytes: Buffer, start: number, end: number) => this.#received(bytes, start, end),
      garbled: () => company.errors.count('mismatch', 'a binary frame'),
      closed: (...[kind, detail]: Parameters<LinkListener['closed']>) =>
        this.#finish(kind === 'closed' && this.#state !== 'open' ? 'connect-failed' : kind, detail),
    }
    this.ws = new WsLink(plan, where, events, { path: PATH, headers })
  }

  get received(): number {
    return this.#book.received
  }

  get hasOtherOrder(): boolean {
    return this.#book.hasOtherOrder
  }

  close(): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.ws.close()
  }

  #received(bytes: Buffer, start: number, end: number): void {
    if (this.#state === 'closed') return
    const at = this.envelope.messageAt(bytes, start, end)
    if (at >= 0) this.#hear(bytes, at, this.envelope.messageEnd(end))
    else if (ACK.compare(bytes, start, start + ACK.length) !== 0) this.#control(bytes.toString('utf8', start, end))
  }

  #control(text: string): void {
    const frame = parseFrame(text)
    if (frame === undefined) this.#company.errors.count('mismatch', 'a frame that is none')
    else if (this.#state === 'welcome' && frame.type === 'connected') {
      this.#state = 'subscribing'
      this.ws.send(Buffer.from(JSON.stringify({ type: 'subscribe', channels: [this.#channel] })))
    } else if (this.#state === 'subscribing' && frame.type === 'subscribed') {
      if (stringsOf(frame.channels).includes(this.#channel)) this.#opened()
      else this.#finish('rejected', `${this.#channel} is denied`)
    } else if (frame.type === 'error') this.#refused(frame.id, String(frame.message).slice(0, DETAIL_CHARACTERS_MAX))
  }

  #opened(): void {
    clearTimeout(this.#timer)
    this.#state = 'open'
    this.#listener.opened()
  }

  #refused(id: unknown, detail: string): void {
    if (this.#state !== 'open') this.#finish('rejected', detail)
    else if (typeof id === 'number') this.#listener.failed(id, 'failed', detail)
    else this.#company.errors.count('failed', detail)
  }

  #hear(bytes: Buffer, start: number, end: number): void {
    const { pattern, errors, senders } = this.#company
    const from = pattern.connectionOf(bytes, start, end)
    // Of another run.
    if (from < 0 || from >= senders) return
    const isOwn = from === this.#sender
    let sequence = pattern.read(bytes, start, end, from)
    if (sequence < 0) {
      // Of its own messages the ledger of the connection tells.
      if (!isOwn) errors.count('mismatch', 'at a subscriber')
      sequence = pattern.damaged
    }
    const hearing = this.#book.hear(from, sequence)
    if (hearing !== 'duplicate') this.#company.delivered(from, sequence)
    if (hearing !== 'heard' && !isOwn) errors.count(hearing, 'at a subscriber')
    if (isOwn) this.#listener.received(bytes, start, end)
  }

  #finish(...end: Parameters<LinkListener['closed']>): void {
    if (this.#state === 'closed') return
    this.close()
    this.#listener.closed(...end)
  }
}
