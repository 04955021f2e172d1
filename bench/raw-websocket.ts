// The bytes of a WebSocket client that always says the same: made once, so that a generator can send and check them
// without encoding or parsing anything.

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const MASK = Buffer.of(0x12, 0x34, 0x56, 0x78)
const FIN_TEXT = 0x81
const MASKED = 0x80
/** Longer payloads have another header. */
const PAYLOAD_BYTES_MAX = 125

export const PAYLOAD_BYTES = 64

const payload = Buffer.from(Array.from({ length: PAYLOAD_BYTES }, (_, index) => 0x61 + (index % 26)))

export function upgradeRequest(path: string): Buffer {
  return Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`,
  )
}

/** `count` masked text frames in a row, as a client sends them. */
export function clientFrames(count: number): Buffer {
  if (PAYLOAD_BYTES > PAYLOAD_BYTES_MAX) throw new RangeError('a short frame')
  const frame = Buffer.concat([Buffer.of(FIN_TEXT, MASKED | PAYLOAD_BYTES), MASK, payload])
  for (let index = 0; index < PAYLOAD_BYTES; index++) {
    const at = index + 2 + MASK.length
    frame[at] = (frame[at] as number) ^ (MASK[index & 3] as number)
  }
  return repeated(frame, count)
}

/** The same frames as the server returns them. */
export function serverFrames(count: number): Buffer {
  return repeated(Buffer.concat([Buffer.of(FIN_TEXT, PAYLOAD_BYTES), payload]), count)
}

export const SERVER_FRAME_BYTES = serverFrames(1).length

function repeated(bytes: Buffer, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes))
}
