// Counts the frames of a WebSocket server as they come, whatever is in them: a generator that looks at nothing else can
// hear ten thousand subscribers.

const LENGTH_16 = 126
const LENGTH_64 = 127

export class FrameCounter {
  frames = 0
  /** Of the frame at hand, that have not come. */
  #missing = 0
  /** The beginning of a frame whose header is not whole. */
  #head: Buffer = Buffer.alloc(0)

  push(bytes: Buffer): void {
    let at = 0
    if (this.#head.length > 0) {
      bytes = Buffer.concat([this.#head, bytes])
      this.#head = Buffer.alloc(0)
    }
    while (at < bytes.length) {
      if (this.#missing > 0) {
        const taken = Math.min(this.#missing, bytes.length - at)
        this.#missing -= taken
        at += taken
        if (this.#missing === 0) this.frames++
        continue
      }
      const payload = payloadBytesAt(bytes, at)
      if (payload === undefined) {
        this.#head = Buffer.from(bytes.subarray(at))
        return
      }
      at += payload.headerBytes
      this.#missing = payload.bytes
      if (this.#missing === 0) this.frames++
    }
  }
}

function payloadBytesAt(
  bytes: Buffer,
  at: number,
): { readonly headerBytes: number; readonly bytes: number } | undefined {
  if (bytes.length - at < 2) return undefined
  const length = bytes.readUInt8(at + 1)
  if (length < LENGTH_16) return { headerBytes: 2, bytes: length }
  const headerBytes = length === LENGTH_64 ? 10 : 4
  if (bytes.length - at < headerBytes) return undefined
  return { headerBytes, bytes: length === LENGTH_64 ? bytes.readUIntBE(at + 4, 6) : bytes.readUInt16BE(at + 2) }
}
