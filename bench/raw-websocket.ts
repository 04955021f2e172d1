// The bytes of a WebSocket client and of what it hears: made beforehand, so that a generator can send and check them
// without encoding or parsing anything.

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const MASK = Buffer.of(0x12, 0x34, 0x56, 0x78)
const FIN_TEXT = 0x81
const MASKED = 0x80
/** Longer payloads have another header. */
const PAYLOAD_BYTES_MAX = 125

export const PAYLOAD_BYTES = 64

const payload = String.fromCharCode(...Array.from({ length: PAYLOAD_BYTES }, (_, index) => 0x61 + (index % 26)))

export function upgradeRequest(path: string): Buffer {
  return Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`,
  )
}

/** A masked text frame, as a client sends it. */
export function clientFrame(text: string): Buffer {
  const frame = Buffer.concat([header(text, MASKED), MASK, Buffer.from(text)])
  const start = frame.length - text.length
  for (let index = 0; index < text.length; index++) {
    frame[start + index] = (frame[start + index] as number) ^ (MASK[index & 3] as number)
  }
  return frame
}

/** A text frame as a server sends it. */
export function serverFrame(text: string): Buffer {
  return Buffer.concat([header(text, 0), Buffer.from(text)])
}

/** `count` frames in a row that always say the same. */
export function clientFrames(count: number): Buffer {
  return repeated(clientFrame(payload), count)
}

/** The same frames as the server returns them. */
export function serverFrames(count: number): Buffer {
  return repeated(serverFrame(payload), count)
}

export const SERVER_FRAME_BYTES = serverFrames(1).length

/** `text` is ASCII. */
function header(text: string, masked: number): Buffer {
  if (text.length > PAYLOAD_BYTES_MAX) throw new RangeError('a short frame')
  return Buffer.of(FIN_TEXT, masked | text.length)
}

function repeated(bytes: Buffer, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes))
}
