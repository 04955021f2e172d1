// One single-producer single-consumer ring of records over a SharedArrayBuffer. Knows nothing of threads, wake-ups or
// messages larger than a record; it may be read by a successor after its reader died.
//
// Who may touch what, and why no byte is read while it is written:
//   producer: copy a record beyond TAIL, later store TAIL; it never passes FREED + capacity
//   consumer: load TAIL, and for each record store CLAIMED behind it, call the sink, later store FREED
// TAIL and FREED are Atomics (sequentially consistent), so the bytes before a TAIL that was seen are all there, and the
// sink's reads of a record are all done before the producer can see the FREED that gives its room away.
//
// CLAIMED and FREED are two words because "never read again" and "may be overwritten" are two moments. A reader that
// dies in the sink has claimed the record and not freed it: the successor starts at CLAIMED, so a record that kills its
// reader kills one reader. With the one word only, the record would be dispatched again, or overwritten under the sink.
// CLAIMED is a plain store: only the successor reads it, main starts that one after the old thread's `exit`, and the end
// of a thread orders all its stores before it. It must come before the call of the sink, and program order keeps it so,
// since the sink could look at the word itself.
import { assert } from '../lib/assert.ts'
import { Assembly } from './assembly.ts'
import {
  ALIGN_BYTES,
  CAPACITY_BYTES_MAX,
  CAPACITY_BYTES_MIN,
  DATA_START,
  FLAG,
  FLAGS_SHIFT,
  GENERATION_SHIFT,
  HEADER_BYTES,
  KIND_MASK,
  LENGTH_MASK,
  RING_WORD,
} from './record.ts'

/**
 * Bytes are a view of shared memory, valid only during the call; `view` has the same ones, at the same offset. It must not
 * throw.
 */
export type RecordSink = (kind: number, bytes: Buffer, offset: number, length: number, view: DataView) => void

// Counters are u32 that wrap, kept as int32: differences are taken with `| 0`, positions with `& mask`.
const { tail: TAIL, freed: FREED, claimed: CLAIMED, wantsRoom: WANTS_ROOM } = RING_WORD

/** Up to here a loop over bytes beats Buffer.copy (measured: 28 against 45 ns at 16 bytes, 48 against 42 at 32). */
const LOOP_BYTES_MAX = 24
const copyBuffer = Buffer.prototype.copy

const ignore = (): void => {}

export const Ring = {
  /** The memory of an empty ring. Throws unless the capacity is a power of two from 256 bytes to 64 MiB. */
  allocate(capacityBytes: number): SharedArrayBuffer {
    assertCapacity(capacityBytes)
    return new SharedArrayBuffer(DATA_START + capacityBytes)
  },
}

function assertCapacity(bytes: number): void {
  assert(bytes >= CAPACITY_BYTES_MIN && bytes <= CAPACITY_BYTES_MAX, 'a ring has 256 bytes to 64 MiB')
  assert((bytes & (bytes - 1)) === 0, 'the capacity of a ring is a power of two')
}

export class RingWriter {
  /** The longest payload of one record: with its header it fills a quarter of the ring. */
  readonly payloadBytesMax: number
  readonly capacityBytes: number
  readonly #words: Int32Array
  readonly #bytes: Buffer
  #tail: number
  #publishedTail: number
  #freed: number

  /** Continues where the last writer of this memory published; what that one wrote and did not publish is gone. */
  constructor(memory: SharedArrayBuffer) {
    this.capacityBytes = memory.byteLength - DATA_START
    assertCapacity(this.capacityBytes)
    this.payloadBytesMax = this.capacityBytes / 4 - HEADER_BYTES
    this.#words = new Int32Array(memory)
    this.#bytes = Buffer.from(memory)
    this.#tail = Atomics.load(this.#words, TAIL)
    this.#publishedTail = this.#tail
    this.#freed = Atomics.load(this.#words, FREED)
  }

  /**
   * Copies a record of two parts into the ring, invisible until `publish`. False, and nothing taken, if there is no room.
   * `kind` and `generation` are u16; the parts together are at most `payloadBytesMax` long.
   */
  tryPush(
    kind: number,
    generation: number,
    head: Uint8Array,
    headBytes: number,
    body?: Uint8Array,
    bodyStart = 0,
    bodyBytes = 0,
    flag: number = FLAG.whole,
  ): boolean {
    const length = headBytes + bodyBytes
    assert(length <= this.payloadBytesMax, 'a record fits in a quarter of its ring')
    const needed = (HEADER_BYTES + length + ALIGN_BYTES - 1) & -ALIGN_BYTES
    const tail = this.#tail
    let at = tail & (this.capacityBytes - 1)
    const beforeWrap = this.capacityBytes - at
    const total = needed <= beforeWrap ? needed : beforeWrap + needed
    if (total > this.capacityBytes - ((tail - this.#freed) | 0)) {
      this.#freed = Atomics.load(this.#words, FREED)
      if (total > this.capacityBytes - ((tail - this.#freed) | 0)) return false
    }
    const words = this.#words
    if (total !== needed) {
      words[(DATA_START + at) >> 2] = (beforeWrap - HEADER_BYTES) | (FLAG.pad << FLAGS_SHIFT)
      at = 0
    }
    const word = (DATA_START + at) >> 2
    words[word] = length | (flag << FLAGS_SHIFT)
    words[word + 1] = (kind & KIND_MASK) | (generation << GENERATION_SHIFT)
    const start = DATA_START + at + HEADER_BYTES
    copy(head, 0, headBytes, this.#bytes, start)
    if (body !== undefined) copy(body, bodyStart, bodyBytes, this.#bytes, start + headBytes)
    this.#tail = (tail + total) | 0
    return true
  }

  /** Makes all pushed records readable; false if there were none. Once per batch: the store is what costs. */
  publish(): boolean {
    if (this.#tail === this.#publishedTail) return false
    this.#publishedTail = this.#tail
    Atomics.store(this.#words, TAIL, this.#tail)
    return true
  }

  /**
   * Asks the consumer to ring when there is room. Push once more after it, and wait only if that failed: the consumer
   * stores FREED before it looks at this word, so one of the two sees the other.
   */
  requestRoom(): void {
    Atomics.store(this.#words, WANTS_ROOM, 1)
  }

  get unpublishedBytes(): number {
    return (this.#tail - this.#publishedTail) | 0
  }

  /** Bytes between the consumer's freed position and this writer's tail; reads the shared word. */
  get usedBytes(): number {
    this.#freed = Atomics.load(this.#words, FREED)
    return (this.#tail - this.#freed) | 0
  }
}

export class RingReader {
  readonly #words: Int32Array
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #capacityBytes: number
  readonly #assembly: Assembly
  #position: number
  #freed: number
  #tail: number
  #budget = 0

  /** Continues behind the last record that any reader of this memory claimed. */
  constructor(
    memory: SharedArrayBuffer,
    messageBytesMax: number = CAPACITY_BYTES_MAX,
    onDiscard: (chunks: number) => void = ignore,
  ) {
    this.#capacityBytes = memory.byteLength - DATA_START
    assertCapacity(this.#capacityBytes)
    this.#words = new Int32Array(memory)
    this.#bytes = Buffer.from(memory)
    this.#view = new DataView(memory)
    this.#assembly = new Assembly(messageBytesMax, onDiscard)
    this.#position = Atomics.load(this.#words, CLAIMED)
    this.#freed = Atomics.load(this.#words, FREED)
    this.#tail = Atomics.load(this.#words, TAIL)
  }

  /**
   * Calls the sink for published records, oldest first, at most `budgetRecords` of them (a chunk counts as one).
   * Answers how many were taken; fewer than the budget means that the ring was seen empty.
   */
  drain(budgetRecords: number, sink: RecordSink): number {
    const words = this.#words
    const mask = this.#capacityBytes - 1
    const quarter = this.#capacityBytes >> 2
    let taken = 0
    this.#budget = budgetRecords
    while (taken < this.#budget) {
      const position = this.#position
      if (position === this.#tail) {
        this.#tail = Atomics.load(words, TAIL)
        if (position === this.#tail) break
      }
      if (((position - this.#freed) | 0) >= quarter) this.#free()
      const start = DATA_START + (position & mask)
      const first = words[start >> 2] ?? 0
      const second = words[(start >> 2) + 1] ?? 0
      const length = first & LENGTH_MASK
      const flag = first >>> FLAGS_SHIFT
      const next = (position + ((HEADER_BYTES + length + ALIGN_BYTES - 1) & -ALIGN_BYTES)) | 0
      assert(((this.#tail - next) | 0) >= 0, 'a record ends at or before the tail')
      this.#position = next
      words[CLAIMED] = next
      if (flag === FLAG.pad) continue
      taken++
      if (flag === FLAG.whole) {
        if (this.#assembly.open) this.#assembly.discard()
        sink(second & KIND_MASK, this.#bytes, start + HEADER_BYTES, length, this.#view)
      } else if (this.#assembly.add(flag, second >>> GENERATION_SHIFT, this.#bytes, start + HEADER_BYTES, length)) {
        sink(second & KIND_MASK, this.#assembly.bytes, 0, this.#assembly.length, this.#assembly.view)
      }
    }
    if (this.#position !== this.#freed) this.#free()
    return taken
  }

  /** Ends a `drain` under way after the record at hand, for a sink that closes its own reader. */
  stop(): void {
    this.#budget = 0
  }

  /**
   * True once after the producer asked for room and at least half of the ring is free: room for any record, padding
   * included, and few wake-ups. While more than half is full, records are left, so a later `drain` comes by here again.
   */
  takeRoomRequest(): boolean {
    if (Atomics.load(this.#words, WANTS_ROOM) === 0) return false
    if (((Atomics.load(this.#words, TAIL) - this.#freed) | 0) > this.#capacityBytes >> 1) return false
    return Atomics.exchange(this.#words, WANTS_ROOM, 0) === 1
  }

  /** Forgets, and counts, a message of which only some chunks have come. */
  discard(): void {
    this.#assembly.discard()
  }

  #free(): void {
    this.#freed = this.#position
    Atomics.store(this.#words, FREED, this.#position)
  }
}

function copy(source: Uint8Array, start: number, length: number, target: Buffer, at: number): void {
  if (length <= LOOP_BYTES_MAX) {
    for (let index = 0; index < length; index++) target[at + index] = source[start + index] ?? 0
  } else if (length === source.length) {
    target.set(source, at)
  } else {
    // TypedArray.set needs a subarray, which allocates; Buffer's copy takes any Uint8Array and four numbers.
    copyBuffer.call(source, target, at, start, start + length)
  }
}
