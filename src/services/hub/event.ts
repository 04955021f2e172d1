// Events on their way: as the topic of a channel carries them, and as the frames that subscribers get, each form of which
// is made once per shard. [PROTOCOLS 4.4, 4.9]
//
//   topic payloads   text      the event's JSON
//                    binary    u8 1 | f64 publish time, ms | a binary message
//                              u8 2 | u8 text | 16 bytes id | u32 index | u32 count | a piece of one of the above
import { gzipSync } from 'node:zlib'
import { encodeDeflatedFrame } from '../../net/websocket/deflate.ts'
import { encodeFrame, OPCODE } from '../../net/websocket/frame.ts'
import { packBinary, parseBinary } from './binary-message.ts'
import type { Options } from './request.ts'
import { jsonOf, timestampOf } from './text.ts'

const BINARY_KIND = 1
export const PIECE_KIND = 2
const BINARY_HEAD_BYTES = 9

/** Shorter events are not compressed, nor those that shrink less. */
const COMPRESS_BYTES_MIN = 1_024
const COMPRESS_SHARE_MAX = 0.9

/** `data` and `more` are JSON; `more` are further members, `,"a":1`. */
export function eventJson(channel: string, eventType: string, data: string, wallMs: number, more = ''): string {
  return `{"channel":${JSON.stringify(channel)},"timestamp":"${timestampOf(wallMs)}","event_type":${JSON.stringify(eventType)},"data":${data}${more}}`
}

/** The topic payload of a binary message. */
export function binaryPayload(frame: Uint8Array, wallMs: number): Buffer {
  const payload = Buffer.allocUnsafe(BINARY_HEAD_BYTES + frame.length)
  payload.writeUInt8(BINARY_KIND, 0)
  payload.writeDoubleBE(wallMs, 1)
  payload.set(frame, BINARY_HEAD_BYTES)
  return payload
}

/** How frames for one subscriber look: an index below FORMS. */
export type Form = number
const MODE = { text: 0, binary: 1, gzip: 2 } as const
const OFFSETS = 1
const DEFLATED = 2
const BUFFERED = 4
const MODE_SHIFT = 3
export const FORMS = 3 << MODE_SHIFT

export function formOf({ binary, compression, offsets }: Options, wire: 'frame' | 'deflated' | 'stream'): Form {
  const mode = compression === 'gzip' ? MODE.gzip : binary ? MODE.binary : MODE.text
  return (mode << MODE_SHIFT) | (offsets ? OFFSETS : 0) | (wire === 'deflated' ? DEFLATED : 0)
}

/** The same form for a missed event, which says when it was buffered. */
export function bufferedForm(form: Form): Form {
  return form | BUFFERED
}

/** One event as one shard keeps it. */
export class HubEvent {
  readonly channel: string
  readonly epoch: number
  readonly offset: number
  /** Orders events of several channels on this shard. */
  readonly sequence: number
  /** Of its publication, since 1970. */
  readonly wallMs: number
  /** Its JSON, or undefined: it is a binary message. */
  readonly #text: Buffer | undefined
  readonly #binary: Buffer | undefined
  readonly #frames: (Buffer | undefined)[] = []

  private constructor(place: EventPlace, { wallMs, text, binary }: { wallMs: number; text?: Buffer; binary?: Buffer }) {
    this.channel = place.channel
    this.epoch = place.epoch
    this.offset = place.offset
    this.sequence = place.sequence
    this.wallMs = wallMs
    this.#text = text
    this.#binary = binary
  }

  /** Undefined: nobody who knows the hub has published that. */
  static of(place: EventPlace, payload: Buffer, isText: boolean): HubEvent | undefined {
    if (!isText) {
      if (payload.length < BINARY_HEAD_BYTES || payload[0] !== BINARY_KIND) return undefined
      return new HubEvent(place, { wallMs: payload.readDoubleBE(1), binary: payload.subarray(BINARY_HEAD_BYTES) })
    }
    const head = `{"channel":"${place.channel}","timestamp":"`
    const timeStart = head.length
    if (payload.toString('latin1', 0, timeStart) !== head || payload.at(-1) !== 0x7d) return undefined
    const wallMs = Date.parse(payload.toString('latin1', timeStart, timeStart + 24))
    return Number.isNaN(wallMs) ? undefined : new HubEvent(place, { wallMs, text: payload })
  }

  get bytes(): number {
    return (this.#text ?? this.#binary)?.length ?? 0
  }

  /** `message_type` for those who get it so: `event`, `binary` or `compressed`. */
  typeIn(form: Form): 'event' | 'binary' | 'compressed' {
    const isFrame = ((this.frame(form)[0] as number) & 0x0f) === OPCODE.binary
    return !isFrame ? 'event' : this.#binary === undefined ? 'compressed' : 'binary'
  }

  /** A whole WebSocket frame; it never changes. */
  frame(form: Form): Buffer {
    const known = this.#frames[form]
    if (known !== undefined) return known
    const frame = this.#make(form)
    this.#frames[form] = frame
    return frame
  }

  /** What is only needed while it is sent, lets go of. */
  forgetFrames(): void {
    this.#frames.length = 0
  }

  #make(form: Form): Buffer {
    const mode = form >> MODE_SHIFT
    if (this.#binary !== undefined && mode !== MODE.text) return encodeFrame(this.#binary, OPCODE.binary)
    const json = this.#json(form)
    if (mode === MODE.gzip) {
      const compressed = compressedOf(json)
      if (compressed !== undefined) return encodeFrame(compressed, OPCODE.binary)
    }
    return (form & DEFLATED) === 0 ? encodeFrame(json, OPCODE.text) : encodeDeflatedFrame(json, OPCODE.text)
  }

  #json(form: Form): Buffer {
    const plain = this.#text ?? Buffer.from(this.#told())
    const offsets = (form & OFFSETS) === 0 ? '' : `,"offset":${this.offset},"epoch":"${this.epoch}"`
    const buffered = (form & BUFFERED) === 0 ? '' : `,"buffered_at":"${timestampOf(this.wallMs)}"`
    if (offsets === '' && buffered === '') return plain
    return Buffer.concat([plain.subarray(0, -1), Buffer.from(`${offsets}${buffered}}`)])
  }

  /** What those hear of a binary message who get no binary frames. */
  #told(): string {
    const parsed = parseBinary(this.#binary ?? Buffer.alloc(0))
    // It was checked when it came.
    if ('problem' in parsed) return eventJson(this.channel, 'binary.binary_data', '{}', this.wallMs)
    const { type, metadata, payload } = parsed
    // What cannot be written must not keep others from their events.
    const told = jsonOf(metadata) ?? '{}'
    const data = `{"type":"${type}","metadata":${told},"payload_length":${payload.length}}`
    return eventJson(this.channel, `binary.${type.toLowerCase()}`, data, this.wallMs)
  }
}

export interface EventPlace {
  readonly channel: string
  readonly epoch: number
  readonly offset: number
  readonly sequence: number
}

/** COMPRESSED_JSON, if the event is long enough and shrinks enough. */
function compressedOf(json: Buffer): Buffer | undefined {
  if (json.length < COMPRESS_BYTES_MIN) return undefined
  const gzip = gzipSync(json)
  if (gzip.length >= COMPRESS_SHARE_MAX * json.length) return undefined
  const metadata = `{"compression":"gzip","original_size":${json.length},"compressed_size":${gzip.length}}`
  return packBinary('COMPRESSED_JSON', metadata, gzip)
}
