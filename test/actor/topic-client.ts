// A client of a topic that checks everything it gets, and its connection.
import assert from 'node:assert/strict'
import type { TopicConnection, TopicEvent, TopicSince, TopicWire } from '../../src/actor/topic-connection.ts'
import { PolyloopError } from '../../src/lib/errors.ts'

/** What one connection's peer sees, and what it must see. */
export class Client {
  readonly id: number
  readonly topic: string
  readonly events: TopicEvent[] = []
  /** Payloads, in the order they came. */
  readonly texts: string[] = []
  epoch = 0
  expected = 0
  asked: TopicSince | undefined
  gaps = 0
  live = false
  /** Check epochs and offsets in the payloads: for kinds that put them there. */
  readonly checks: boolean
  readonly #lastOf = new Map<number, number>()

  constructor(id: number, topic: string, checks = true) {
    this.id = id
    this.topic = topic
    this.checks = checks
  }

  get since(): TopicSince {
    return { epoch: this.epoch, offset: this.expected - 1 }
  }

  event(event: TopicEvent): void {
    this.events.push(event)
    assert.equal(event.topic, this.topic)
    if (event.type === 'subscribed') {
      assert.ok(!this.live, 'it is told once that it is subscribed')
      this.live = true
      if (event.recovered) assert.deepEqual({ epoch: event.epoch, offset: event.offset }, this.asked)
      if (
        this.asked !== undefined &&
        !event.recovered &&
        event.missed !== undefined &&
        event.epoch === this.asked.epoch
      )
        assert.equal(event.offset, this.asked.offset + event.missed)
      this.epoch = event.epoch
      this.expected = event.offset + 1
    } else if (event.type === 'gap') {
      assert.ok(this.live, 'a gap comes after it was told that it is subscribed')
      this.gaps++
      if (event.reason === 'epoch') {
        assert.notEqual(event.epoch, this.epoch)
        assert.equal(event.from, 1)
      } else {
        assert.equal(event.epoch, this.epoch)
        assert.equal(event.from, this.expected, `a gap begins where the client is: ${JSON.stringify(event)}`)
        assert.ok(event.to >= event.from)
      }
      this.epoch = event.epoch
      this.expected = event.to + 1
    } else this.live = false
  }

  message(text: string): void {
    this.texts.push(text)
    if (!this.checks) return
    const { epoch, offset, publisher, count } = JSON.parse(text) as Record<string, number>
    assert.ok(this.live, 'messages come after it was told that it is subscribed')
    assert.equal(epoch, this.epoch)
    assert.equal(offset, this.expected, `client ${this.id} of ${this.topic}`)
    this.expected++
    assert.ok((count ?? 0) > (this.#lastOf.get(publisher ?? 0) ?? 0), 'each publisher is in order')
    this.#lastOf.set(publisher ?? 0, count ?? 0)
  }
}

export class TestConnection implements TopicConnection {
  readonly id: number
  readonly wire: TopicWire
  readonly client: Client
  open = true
  bufferedBytes = 0
  writes = 0
  /** It does not read: what is sent stays buffered. */
  stuck = false

  constructor(client: Client, wire: TopicWire = 'frame') {
    this.id = client.id
    this.client = client
    this.wire = wire
  }

  sendShared(bytes: Uint8Array, messages: number): void {
    assert.ok(this.open, 'nothing is sent to a connection that is closed or has moved')
    this.writes++
    if (this.stuck) this.bufferedBytes += bytes.length
    const texts = this.wire === 'stream' ? [Buffer.from(bytes).toString()] : framesOf(bytes)
    if (this.wire !== 'stream') assert.equal(texts.length, messages)
    for (const text of texts) this.client.message(text)
  }
}

/** Payloads of unmasked frames of at most 65,535 bytes. */
export function framesOf(bytes: Uint8Array): string[] {
  const texts: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const short = (bytes[at + 1] as number) & 0x7f
    const start = short < 126 ? at + 2 : at + 4
    const length = short < 126 ? short : ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
    texts.push(Buffer.from(bytes.subarray(start, start + length)).toString())
    at = start + length
  }
  return texts
}

export const isCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof PolyloopError && error.code === code
