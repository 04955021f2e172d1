// Messages and replies as the records of record.ts: writing them without a copy of the value, and reading them.

import { decodeValue } from '../lib/codec.ts'
import { PolyloopError, textOf } from '../lib/errors.ts'
import type { Message } from './activation.ts'
import type { Address } from './address.ts'
import { KEY_BYTES_MAX } from './address.ts'
import { ACTOR_RECORD, ASK_HEAD_BYTES, AT, CHAIN_MAX, LINK_BYTES, TELL_HEAD_BYTES } from './record.ts'

export const HEAD_BYTES_MAX = ASK_HEAD_BYTES + CHAIN_MAX * LINK_BYTES + KEY_BYTES_MAX
const NOBODY: readonly number[] = []

// Numbers are read and written through a DataView, which compiles to one access each, and as int32: a u32 above 2^31 is a
// heap object for V8.

/** Writes all but the value; answers the length. `index` below 0: a tell. */
export function encodeHead(
  head: Uint8Array,
  view: DataView,
  address: Address,
  method: number,
  tag: number,
  index: number,
  sequence: number,
  deadlineMs: number,
  chain: readonly number[],
): number {
  const { key } = address
  const keyBytes = key.length
  view.setInt32(AT.slot, address.slot, true)
  view.setInt32(AT.hash, address.hash, true)
  view.setInt32(AT.check, address.check, true)
  view.setInt32(AT.method, method, true)
  view.setInt16(AT.keyBytes, keyBytes, true)
  head[AT.kindBytes] = address.kind.length
  head[AT.tag] = tag
  head[AT.chain] = 0
  let at = TELL_HEAD_BYTES
  if (index >= 0) {
    head[AT.chain] = chain.length >> 1
    view.setInt32(AT.index, index, true)
    view.setInt32(AT.sequence, sequence, true)
    view.setFloat64(AT.deadline, deadlineMs, true)
    at = ASK_HEAD_BYTES
    for (let link = 0; link < chain.length; link++, at += 4) view.setInt32(at, chain[link] as number, true)
  }
  for (let byte = 0; byte < keyBytes; byte++) head[at++] = key[byte] as number
  return at
}

// A record is `bytes[start, end)`, and `view` has the same memory.

/** Where the key of a record starts. */
export function keyStart(kind: number, bytes: Uint8Array, start: number): number {
  if (kind === ACTOR_RECORD.tell) return start + TELL_HEAD_BYTES
  return start + ASK_HEAD_BYTES + (bytes[start + AT.chain] as number) * LINK_BYTES
}

/** `kind` and `id` of a record. */
export function namesOf(kind: number, record: Buffer): { kind: string; id: string } {
  const start = keyStart(kind, record, 0)
  const kindEnd = start + (record[AT.kindBytes] as number)
  return {
    kind: record.toString('latin1', start, kindEnd),
    id: record.toString('utf8', kindEnd + 1, start + record.readUInt16LE(AT.keyBytes)),
  }
}

/** The message of a record. Throws VALUE_INVALID. */
export function decodeMessage(
  kind: number,
  source: number,
  bytes: Buffer,
  view: DataView,
  start: number,
  valueStart: number,
  end: number,
): Message {
  const method = view.getInt32(start + AT.method, true)
  const argument = decodeValue(bytes[start + AT.tag] as number, bytes, valueStart, end)
  if (kind === ACTOR_RECORD.tell) {
    return { method, argument, source: -1, index: 0, sequence: 0, deadlineMs: 0, chain: NOBODY }
  }
  return {
    method,
    argument,
    source,
    index: view.getInt32(start + AT.index, true),
    sequence: view.getInt32(start + AT.sequence, true),
    deadlineMs: view.getFloat64(start + AT.deadline, true),
    chain: decodeChain(view, start + ASK_HEAD_BYTES, (bytes[start + AT.chain] as number) * 2),
  }
}

/** The last chain of one link: what comes from one actor in a row has the same. */
let lastChain: readonly [number, number] = [0, 0]

function decodeChain(view: DataView, start: number, links: number): readonly number[] {
  if (links === 0) return NOBODY
  if (links === 2) {
    const hash = view.getInt32(start, true)
    const check = view.getInt32(start + 4, true)
    if (lastChain[0] !== hash || lastChain[1] !== check) lastChain = [hash, check]
    return lastChain
  }
  const chain: number[] = []
  for (let link = 0; link < links; link++) chain.push(view.getInt32(start + link * 4, true))
  return chain
}

/** What a handler threw, as the asker gets it. */
export function handlerError(error: unknown, actor: string, method: string): PolyloopError {
  if (error instanceof PolyloopError) return error
  const { name, message } = error instanceof Error ? error : { name: typeof error, message: textOf(error) }
  return new PolyloopError('ACTOR_HANDLER_FAILED', {
    actor,
    method,
    error: name === 'Error' ? message : `${name}: ${message}`,
  })
}
