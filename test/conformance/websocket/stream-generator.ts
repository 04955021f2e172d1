// Invents what a WebSocket client could send: mostly valid streams, and every kind of broken one. One seed, one stream.
import { constants, deflateRawSync } from 'node:zlib'
import { closePayload, encodeClientFrame } from '../../net/websocket/client-frame.ts'
import { Random } from '../../net/websocket/random.ts'

export interface ClientStream {
  readonly seed: number
  readonly bytes: Buffer
  readonly deflate: boolean
  readonly messageBytesMax: number
  /** How the bytes arrive. */
  readonly pieces: readonly number[]
}

const LIMITS = [1, 125, 126, 300, 1000, 4096]
const LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 64, 124, 125, 126, 127, 128, 299, 300, 301, 1000, 1001]
const CLOSE_CODES = [0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1013, 1014, 1015, 1016]
const MORE_CLOSE_CODES = [1100, 2000, 2999, 3000, 3999, 4000, 4500, 4999, 5000, 65_535]
const CHARACTERS = ['a', 'Z', '0', ' ', '\0', '\x7f', 'é', 'ß', '\u07ff', '\u0800', '€', '\ufffd', '😀', '\u{10ffff}']
const BROKEN_UTF8 = ['80', 'c0af', 'c3', 'e282', 'eda080', 'f09f98', 'f4908080', 'f8888080', 'ff', 'c3c3']

export function createStream(seed: number): ClientStream {
  const random = new Random(seed)
  const deflate = random.below(10) < 3
  const parts: Buffer[] = []
  const count = 1 + random.below(8)
  // Now and then large messages; then nothing is cut into single bytes, to keep the whole fast.
  const large = random.oneIn(50)
  const messageBytesMax = large ? 100_000 : random.pick(LIMITS)
  for (let i = 0; i < count; i++) parts.push(...piecesOf(random, deflate, messageBytesMax, large))
  let bytes: Buffer = Buffer.concat(parts)
  if (random.oneIn(4)) bytes = mutate(random, bytes)
  const pieceMax = large ? 60_000 : random.pick([1, 2, 5, 20, 200, 5000])
  return { seed, bytes, deflate, messageBytesMax, pieces: random.pieces(bytes.length, pieceMax) }
}

/** A message in one or more frames with control frames between them, a control frame, or something broken. */
function piecesOf(random: Random, deflate: boolean, messageBytesMax: number, large: boolean): Buffer[] {
  switch (random.below(20)) {
    case 0:
      return [broken(random)]
    case 1:
      return random.oneIn(2) ? [close(random)] : [control(random)]
    case 2:
    case 3:
      return [control(random)]
    default:
      return message(random, deflate, messageBytesMax, large)
  }
}

function message(random: Random, deflate: boolean, messageBytesMax: number, large: boolean): Buffer[] {
  const isText = random.oneIn(2)
  let lengthBytes = random.oneIn(8) ? messageBytesMax + random.below(3) - 1 : random.pick(LENGTHS)
  if (!random.oneIn(10)) lengthBytes = Math.min(lengthBytes, messageBytesMax)
  if (large && random.oneIn(3)) lengthBytes = random.pick([65_535, 65_536, 65_537, 99_999, 100_000, 100_001])
  let payload = isText ? text(random, lengthBytes) : random.bytes(lengthBytes)
  const compressed = deflate && !random.oneIn(3)
  if (compressed) payload = deflateOf(random, payload)
  const frames: Buffer[] = []
  const fragments = random.oneIn(2) ? 1 : 1 + random.below(5)
  let offset = 0
  for (let i = 0; i < fragments; i++) {
    const last = i === fragments - 1
    const end = last ? payload.length : offset + random.below(payload.length - offset + 1)
    frames.push(
      encodeClientFrame({
        opcode: i > 0 ? 0 : isText ? 1 : 2,
        fin: last,
        rsv: compressed && i === 0 ? 4 : 0,
        payload: payload.subarray(offset, end),
        mask: mask(random),
        ...(random.oneIn(30) ? { lengthForm: random.pick([16, 64]) } : {}),
      }),
    )
    offset = end
    if (!last && random.oneIn(3)) frames.push(control(random))
    if (!last && random.oneIn(40)) frames.push(encodeClientFrame({ opcode: random.pick([1, 2]), payload: 'intruder' }))
  }
  return frames
}

function text(random: Random, lengthBytes: number): Buffer {
  if (random.oneIn(2)) return Buffer.from('polyloop '.repeat(Math.ceil(lengthBytes / 9)).slice(0, lengthBytes))
  let string = ''
  for (let size = 0; size < lengthBytes; ) {
    const character = random.pick(CHARACTERS)
    size += Buffer.byteLength(character)
    string += size > lengthBytes ? '' : character
  }
  const bytes = Buffer.from(string)
  if (!random.oneIn(6)) return bytes
  const at = random.below(bytes.length + 1)
  const wrong = Buffer.from(random.pick(BROKEN_UTF8), 'hex')
  return Buffer.concat([bytes.subarray(0, at), wrong, bytes.subarray(at)])
}

/** The payload compressed as a client would, or not quite. */
function deflateOf(random: Random, payload: Uint8Array): Buffer {
  const windowBits = random.pick([9, 12, 15])
  const level = random.pick([0, 1, 6, 9])
  const isFinished = random.oneIn(10) // an ending block, which RFC 7692 7.2.3.4 allows
  const finishFlush = isFinished ? constants.Z_FINISH : constants.Z_SYNC_FLUSH
  const whole = deflateRawSync(payload, { windowBits, level, finishFlush })
  const deflated = isFinished ? Buffer.concat([whole, Buffer.of(0)]) : whole.subarray(0, whole.length - 4)
  if (random.oneIn(12)) return random.bytes(random.below(20))
  if (random.oneIn(12)) return deflated.subarray(0, random.below(deflated.length + 1))
  if (random.oneIn(12)) return Buffer.concat([deflated, random.bytes(random.below(5))])
  if (random.oneIn(12) && deflated.length > 0) deflated[random.below(deflated.length)] = random.bits()
  return deflated
}

function control(random: Random): Buffer {
  const payload = random.bytes(random.oneIn(3) ? random.pick([0, 1, 124, 125]) : random.below(20))
  return encodeClientFrame({ opcode: random.pick([9, 10]), payload, mask: mask(random) })
}

function close(random: Random): Buffer {
  const code = random.pick(random.oneIn(3) ? MORE_CLOSE_CODES : CLOSE_CODES)
  const reason = random.oneIn(4) ? random.bytes(random.below(124)) : text(random, random.below(120)).subarray(0, 123)
  const payload = random.oneIn(6) ? random.bytes(random.below(2)) : closePayload(code, reason)
  return encodeClientFrame({ opcode: 8, payload, mask: mask(random) })
}

/** One frame that breaks a rule of the header, or claims a length that it does not have. */
function broken(random: Random): Buffer {
  const payload = random.bytes(random.below(10))
  const opcode = random.below(16)
  switch (random.below(6)) {
    case 0:
      return encodeClientFrame({ opcode: random.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), payload })
    case 1:
      return encodeClientFrame({ opcode, payload, rsv: 1 + random.below(7) })
    case 2:
      return encodeClientFrame({ opcode, payload, masked: false })
    case 3:
      return encodeClientFrame({ opcode: random.pick([8, 9, 10]), payload, fin: random.oneIn(2), lengthForm: 16 })
    case 4: {
      const declaredBytes = random.pick([2n ** 16n, 2n ** 31n, 2n ** 32n + 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])
      return encodeClientFrame({ opcode: random.below(3), payload, declaredBytes })
    }
    default:
      return encodeClientFrame({ opcode, payload, fin: random.oneIn(2), declaredBytes: random.below(140) })
  }
}

function mutate(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length)
  switch (random.below(5)) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(3)), bytes.subarray(at)])
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(3))])
    case 3:
      bytes[at] = random.bits()
      return bytes
    default:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
      return bytes
  }
}

function mask(random: Random): Buffer {
  return random.oneIn(10) ? Buffer.alloc(4) : random.bytes(4)
}
