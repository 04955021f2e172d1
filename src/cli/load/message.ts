// The content of a load-test message: who sent it, which one it is, and a filler that only that message has. Knows
// nothing of sockets.
//
//   | tag (3) | connection (3) | sequence (6) | check (4) | filler … | \n on stream transports |
//
// All of it is printable ASCII (6 bits to a byte), so that the same bytes travel as WebSocket text, as a line or as a
// datagram. The tag tells runs apart; the filler is a window into one random table that moves with connection and
// sequence, so that a whole message is compared by one native call and nobody keeps what was sent.
import { seededRandom } from './random.ts'

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_'
const CONNECTION_AT = 3
const SEQUENCE_AT = 6
const CHECK_AT = 12
const FILLER_AT = 16
/** Different fillers there are. A prime, so that steady strides do not meet again soon. */
const FILLERS = 4093
const NEWLINE = 10

/** The smallest message: a head, and a newline on stream transports. */
export const MESSAGE_BYTES_MIN = FILLER_AT + 1
export const CONNECTIONS_MAX = 64 ** (SEQUENCE_AT - CONNECTION_AT) - 1

/** What `read` answers instead of a sequence number. */
export const WRONG = {
  /** Not readable as one of our messages, or of another length. */
  unreadable: -1,
  /** A well-formed message of another connection, or of another run. */
  foreign: -2,
} as const

const digitOf = new Int8Array(256).fill(-1)
for (let digit = 0; digit < DIGITS.length; digit++) digitOf[DIGITS.charCodeAt(digit)] = digit
const byteOf = Buffer.from(DIGITS, 'latin1')

export class MessagePattern {
  readonly sizeBytes: number
  /** The sequence number of the last message whose head was right but whose rest was not; see `read`. */
  damaged = -1
  readonly #tag: number
  readonly #newline: boolean
  readonly #fillerBytes: number
  readonly #table: Buffer

  constructor(sizeBytes: number, seed: number, newline: boolean) {
    const random = seededRandom(seed)
    this.sizeBytes = sizeBytes
    this.#tag = Math.floor(random() * 64 ** CONNECTION_AT)
    this.#newline = newline
    this.#fillerBytes = sizeBytes - FILLER_AT - (newline ? 1 : 0)
    this.#table = Buffer.alloc(this.#fillerBytes + FILLERS)
    for (let index = 0; index < this.#table.length; index++) {
      this.#table[index] = byteOf[Math.floor(random() * 64)] ?? 0
    }
  }

  /** Writes the whole message, newline included, at `at`. */
  write(into: Buffer, at: number, connection: number, sequence: number): void {
    writeDigits(into, at, 3, this.#tag)
    writeDigits(into, at + CONNECTION_AT, 3, connection)
    writeDigits(into, at + SEQUENCE_AT, 6, sequence)
    writeDigits(into, at + CHECK_AT, 4, checkOf(this.#tag, connection, sequence))
    const filler = fillerOf(connection, sequence)
    this.#table.copy(into, at + FILLER_AT, filler, filler + this.#fillerBytes)
    if (this.#newline) into[at + this.sizeBytes - 1] = NEWLINE
  }

  /** The connection whose message this is; −1 when it is none of this run, whatever the rest of it says. */
  connectionOf(bytes: Buffer, start: number, end: number): number {
    if (end - start < FILLER_AT || readDigits(bytes, start, 3) !== this.#tag) return -1
    const from = readDigits(bytes, start + CONNECTION_AT, 3)
    const sequence = readDigits(bytes, start + SEQUENCE_AT, 6)
    const check = readDigits(bytes, start + CHECK_AT, 4)
    return from >= 0 && sequence >= 0 && check === checkOf(this.#tag, from, sequence) ? from : -1
  }

  /**
   * The sequence number of the message in `bytes[start, end)` (its newline is not part of it), or one of `WRONG`. A
   * message that can be identified but is damaged answers `unreadable` and leaves its number in `damaged`.
   */
  read(bytes: Buffer, start: number, end: number, connection: number): number {
    this.damaged = -1
    if (end - start < FILLER_AT) return WRONG.unreadable
    const tag = readDigits(bytes, start, 3)
    const from = readDigits(bytes, start + CONNECTION_AT, 3)
    const sequence = readDigits(bytes, start + SEQUENCE_AT, 6)
    const check = readDigits(bytes, start + CHECK_AT, 4)
    if (tag < 0 || from < 0 || sequence < 0 || check !== checkOf(tag, from, sequence)) return WRONG.unreadable
    if (tag !== this.#tag || from !== connection) return WRONG.foreign
    const filler = fillerOf(connection, sequence)
    const fillerEnd = start + FILLER_AT + this.#fillerBytes
    const same =
      end === fillerEnd &&
      (this.#fillerBytes === 0 ||
        this.#table.compare(bytes, start + FILLER_AT, end, filler, filler + this.#fillerBytes) === 0)
    if (same) return sequence
    this.damaged = sequence
    return WRONG.unreadable
  }
}

function fillerOf(connection: number, sequence: number): number {
  return (connection * 31 + sequence * 7) % FILLERS
}

function checkOf(tag: number, connection: number, sequence: number): number {
  let hash = Math.imul(tag, 0x9e3779b1) ^ Math.imul(connection + 1, 0x85ebca77)
  hash = Math.imul(hash ^ (sequence | 0), 0xc2b2ae3d) ^ Math.floor(sequence / 2 ** 32)
  return ((hash ^ (hash >>> 15)) & 0xff_ffff) >>> 0
}

function writeDigits(into: Buffer, at: number, digits: number, value: number): void {
  let rest = value
  for (let index = at + digits - 1; index >= at; index--) {
    const high = Math.floor(rest / 64)
    into[index] = byteOf[rest - high * 64] ?? 0
    rest = high
  }
}

/** −1 when a byte is no digit. */
function readDigits(bytes: Buffer, at: number, digits: number): number {
  let value = 0
  for (let index = at; index < at + digits; index++) {
    const digit = digitOf[bytes[index] ?? 0] ?? -1
    if (digit < 0) return -1
    value = value * 64 + digit
  }
  return value
}
