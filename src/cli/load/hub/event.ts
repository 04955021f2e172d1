// The bytes around a message of the generator: a broadcast to a channel of the hub, and the event that comes of it. Pure.
//
//   {"channel":"c","timestamp":"2026-01-02T03:04:05.678Z","event_type":"load.message","data":{"m":"<message>"}}
import { CHANNEL_LENGTH_MAX } from '../../../services/hub/request.ts'

const EVENT_TYPE = 'load.message'
const TIMESTAMP_BYTES = 24
const NUMBER_BYTES_MAX = 16
/** Channels whose names mean nothing to JSON: their events begin with the same bytes. */
const CHANNEL = /^[\w.:-]+$/

export function isPlainChannel(name: string): boolean {
  return CHANNEL.test(name) && name.length <= CHANNEL_LENGTH_MAX
}

export class EventEnvelope {
  readonly #before: Buffer
  readonly #behind: Buffer
  readonly #headBytes: number
  readonly #end = Buffer.from('"}}')
  readonly #request: Buffer
  readonly #messageAt: number

  constructor(channel: string, sizeBytes: number) {
    this.#before = Buffer.from(`{"channel":"${channel}","timestamp":"`)
    this.#behind = Buffer.from(`","event_type":"${EVENT_TYPE}","data":{"m":"`)
    this.#headBytes = this.#before.length + TIMESTAMP_BYTES + this.#behind.length
    const head = `{"type":"broadcast","channel":"${channel}","event_type":"${EVENT_TYPE}","data":{"m":"`
    const tail = '"},"id":'
    this.#request = Buffer.alloc(head.length + sizeBytes + tail.length + NUMBER_BYTES_MAX + 1)
    this.#messageAt = this.#request.write(head)
    this.#request.write(tail, this.#messageAt + sizeBytes)
  }

  /** Valid until the next call. `sequence` is the request's id. */
  request(message: Buffer, sequence: number): Buffer {
    message.copy(this.#request, this.#messageAt)
    const idAt = this.#messageAt + message.length + '"},"id":'.length
    const end = idAt + this.#request.write(`${sequence}}`, idAt)
    return this.#request.subarray(0, end)
  }

  /** Where the message of an event begins; −1: it is no event, or one of somebody else. It ends before the last 3 bytes. */
  messageAt(bytes: Buffer, start: number, end: number): number {
    const at = start + this.#headBytes
    const stop = end - this.#end.length
    if (at > stop || !isAt(bytes, start, this.#before)) return -1
    return isAt(bytes, at - this.#behind.length, this.#behind) && isAt(bytes, stop, this.#end) ? at : -1
  }

  messageEnd(end: number): number {
    return end - this.#end.length
  }
}

function isAt(bytes: Buffer, at: number, part: Buffer): boolean {
  return part.compare(bytes, at, at + part.length) === 0
}
