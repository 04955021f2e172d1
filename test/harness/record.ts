// A record as a ring would carry it: what a sender gives as a head and a part of a body, copied into one piece.

export function recordOf(head: Uint8Array, headBytes: number, body: Uint8Array, start: number, bytes: number): Buffer {
  return Buffer.concat([head.subarray(0, headBytes), body.subarray(start, start + bytes)])
}
