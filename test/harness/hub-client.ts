// A client of the hub: frames as objects, requests with their replies, events apart from them.
import assert from 'node:assert/strict'
import type { ClientOptions } from 'ws'
import type { Closed } from './web-socket-client.ts'
import { WebSocketClient } from './web-socket-client.ts'

export type Frame = Readonly<Record<string, unknown>>

/** An event as it comes. */
export interface EventFrame {
  readonly channel: string
  readonly timestamp: string
  readonly event_type: string
  readonly data: Readonly<Record<string, unknown>>
  readonly offset?: number
  readonly epoch?: string
  readonly buffered_at?: string
}

const MESSAGE_BYTES_MAX = 64 * 1024 ** 2

export class HubClient implements Disposable {
  readonly socket: WebSocketClient
  #id = ''

  constructor(socket: WebSocketClient) {
    this.socket = socket
  }

  static async open(url: string, options: ClientOptions = {}): Promise<HubClient> {
    return new HubClient(await WebSocketClient.open(url, { maxPayload: MESSAGE_BYTES_MAX, ...options }))
  }

  get closed(): Promise<Closed> {
    return this.socket.closed
  }

  /** What `connected` said. */
  get id(): string {
    return this.#id
  }

  /** Reads `connected`. */
  async enter(): Promise<Frame> {
    const connected = await this.next()
    assert.equal(connected.type, 'connected')
    this.#id = String(connected.client_id)
    return connected
  }

  send(frame: object | string | Buffer): void {
    this.socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame))
  }

  /** The next frame as text; it must not be binary. */
  async nextText(deadlineMs?: number): Promise<string> {
    const message = await this.socket.next(deadlineMs)
    assert.ok(message !== undefined, 'a frame, and not the end')
    assert.equal(message.isBinary, false)
    return message.data.toString()
  }

  async next(deadlineMs?: number): Promise<Frame> {
    return JSON.parse(await this.nextText(deadlineMs)) as Frame
  }

  async nextEvent(deadlineMs?: number): Promise<EventFrame> {
    const frame = await this.next(deadlineMs)
    assert.equal(frame.type, undefined, JSON.stringify(frame))
    return frame as unknown as EventFrame
  }

  async events(count: number): Promise<readonly EventFrame[]> {
    const all: EventFrame[] = []
    for (let index = 0; index < count; index++) all.push(await this.nextEvent())
    return all
  }

  /** Of the next events: the numbers that `publish` gave them. */
  async numbers(count: number): Promise<readonly number[]> {
    return (await this.events(count)).map(({ data }) => Number(data.number))
  }

  async nextBinary(): Promise<Buffer> {
    const message = await this.socket.next()
    assert.equal(message?.isBinary, true)
    return message.data
  }

  /** The next frame, and without its timestamp: what the rest of it must be. */
  async expect(wanted: object): Promise<Frame> {
    const frame = await this.next()
    const { timestamp, ...rest } = frame
    assert.deepEqual(rest, wanted)
    return frame
  }

  /** Sends a request and answers the next frame that is no event and no ping. */
  async ask(frame: object | string | Buffer): Promise<Frame> {
    this.send(frame)
    for (;;) {
      const reply = await this.next()
      if (reply.type !== undefined && reply.type !== 'ping') return reply
    }
  }

  /** Subscribes, and all must be allowed. */
  async subscribe(...channels: readonly string[]): Promise<void> {
    const reply = await this.ask({ type: 'subscribe', channels })
    assert.deepEqual(reply.channels, channels)
  }

  async token(): Promise<string> {
    const { type, token } = await this.ask({ type: 'get_reconnection_token' })
    assert.equal(type, 'reconnection_token')
    return String(token)
  }

  /** Broadcasts, and answers how many subscribers were told of. */
  async broadcast(channel: string, data: object, eventType?: string): Promise<number> {
    const type = eventType === undefined ? {} : { event_type: eventType }
    const reply = await this.ask({ type: 'broadcast', channel, ...type, data })
    assert.equal(reply.type, 'broadcast_ack', JSON.stringify(reply))
    return Number(reply.subscribers)
  }

  /** Broadcasts events with the numbers from `first` on. */
  async publish(channel: string, first: number, count = 1): Promise<void> {
    for (let number = first; number < first + count; number++) await this.broadcast(channel, { number })
  }

  /** Closes, and the server has heard of it. */
  async leave(): Promise<void> {
    this.socket.close()
    await this.closed
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]()
  }
}
