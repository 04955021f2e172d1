// Copying bytes. Knows nothing of what they mean.

/** Up to about this many bytes a loop beats the fixed cost of TypedArray.prototype.set. */
const LOOP_COPY_BYTES_MAX = 48

export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start <= LOOP_COPY_BYTES_MAX) for (let index = start; index < end; index++) to[at++] = from[index] as number
  else to.set(start === 0 && end === from.byteLength ? from : from.subarray(start, end), at)
}
