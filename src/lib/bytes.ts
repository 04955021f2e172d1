// Copying bytes. Knows nothing of what they mean.

/** Up to about this many bytes a loop beats the fixed cost of TypedArray.prototype.set. */
const LOOP_COPY_BYTES_MAX = 48
/** Room of a part that begins; guessed. */
const FIRST_PART_BYTES = 256

/** The same memory as a Buffer. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Numbers of the same memory. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start <= LOOP_COPY_BYTES_MAX) for (let index = start; index < end; index++) to[at++] = from[index] as number
  else to.set(start === 0 && end === from.byteLength ? from : from.subarray(start, end), at)
}

/**
 * `bytes[start, end)` behind the first `partBytes` of `part`, in `part` itself if there is room; otherwise in one at least
 * twice as long, so that copying stays linear however small the pieces are.
 */
export function appended(
  part: Buffer | undefined,
  partBytes: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): Buffer {
  const neededBytes = partBytes + end - start
  let target = part ?? Buffer.allocUnsafe(Math.max(FIRST_PART_BYTES, neededBytes))
  if (target.length < neededBytes) {
    target = Buffer.allocUnsafe(Math.max(2 * target.length, neededBytes))
    part?.copy(target, 0, 0, partBytes)
  }
  target.set(bytes.subarray(start, end), partBytes)
  return target
}
