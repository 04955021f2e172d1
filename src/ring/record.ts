// The byte layout of one ring: where its four shared words lie, and what a record looks like. docs/MEMORY.md has the
// picture and says who may write what; a change here needs a new RING_LAYOUT_VERSION.

/** Shards with another layout cannot read each other's rings: a reload compares this number and refuses. */
export const RING_LAYOUT_VERSION = 1

/** Two cache lines: x64 fetches lines in pairs, so 64 bytes would still share one between the two threads. */
export const LINE_BYTES = 128

/** Index of each shared word, as an Int32Array over the whole memory sees it. */
export const RING_WORD = {
  /** Written by the producer: everything before it may be read. */
  tail: 0,
  /** Written by the consumer: everything before it may be overwritten. */
  freed: LINE_BYTES / 4,
  /** Written by the consumer: everything before it is never read again, not even by a successor. */
  claimed: (2 * LINE_BYTES) / 4,
  /** Set by the producer that found no room, cleared by the consumer that made some. */
  wantsRoom: (3 * LINE_BYTES) / 4,
} as const

/** Where the records begin. */
export const DATA_START = 4 * LINE_BYTES

/** Length and flags, kind and generation: two words. */
export const HEADER_BYTES = 8
/** Records start at multiples of it, so a header is two aligned words and never straddles the wrap. */
export const ALIGN_BYTES = 8

/** At least four records of 56 bytes: the smallest ring that can still chunk. */
export const CAPACITY_BYTES_MIN = 256
/** A quarter of it is the largest record, and its length must fit in 24 bits. */
export const CAPACITY_BYTES_MAX = 64 * 1024 * 1024

// First word: length in the low 24 bits, flags in the high 8. Second word: kind in the low 16 bits, the writer's
// generation in the high 16.
export const LENGTH_MASK = 0xff_ffff
export const FLAGS_SHIFT = 24
export const KIND_MASK = 0xffff
export const GENERATION_SHIFT = 16

/** A whole message has no flag; a chunk has one of three; `pad` fills the room before the wrap. */
export const FLAG = { whole: 0, first: 1, middle: 2, last: 3, pad: 4 } as const

/** A first chunk's payload starts with the length of the whole message, u32 little-endian. */
export const TOTAL_BYTES = 4
