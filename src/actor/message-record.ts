// Messages and replies as the records of record.ts: writing them without a copy of the value, and reading them.

import { decodeValue } from '../lib/codec.ts'
import { PolyloopError, textOf } from '../lib/errors.ts'
import type { Message } from './activation.ts'
import type { Address } from './address.ts'
import { KEY_BYTES_MAX } from './address.ts'
import { ACTOR_RECORD, ASK_HEAD_BYTES, AT, CHAIN_MAX, LINK_BYTES, TELL_HEAD_BYTES } from './record.ts'

export const HEAD_BYTES_MAX = ASK_HEAD_BYTES + CHAIN_MAX * LINK_BYTES + KEY_BYTES_MAX
const NOBODY: readonly number[] = []

export interface Question {
  readonly index: number
  readonly sequence: number
  readonly deadlineMs: number
  readonly chain: readonly number[]
}

/** Writes all but the value; answers the length. */
export function encodeHead(
  head: Buffer,
  address: Address,
  method: number,
  tag: number,
  question: Question | undefined,
): number {
  head.writeUInt16LE(address.slot, AT.slot)
  head.writeUInt16LE(0, AT.flags)
  head.writeUInt32LE(address.hash, AT.hash)
  head.writeUInt32LE(address.check, AT.check)
  head.writeUInt32LE(method, AT.method)
  head.writeUInt16LE(address.key.length, AT.keyBytes)
  head[AT.kindBytes] = address.kind.length
  head[AT.tag] = tag
  let at = TELL_HEAD_BYTES
  head[AT.chain] = 0
  if (question !== undefined) {
    const { chain } = question
    head[AT.chain] = chain.length >> 1
    head.writeUInt32LE(question.index, AT.index)
    head.writeUInt32LE(question.sequence, AT.sequence)
    head.writeDoubleLE(question.deadlineMs, AT.deadline)
    at = ASK_HEAD_BYTES
    for (let link = 0; link < chain.length; link++, at += 4) head.writeUInt32LE(chain[link] as number, at)
  }
  const { key } = address
  for (let index = 0; index < key.length; index++) head[at++] = key[index] as number
  return at
}

/** Where the key of a record starts. */
export function keyStart(kind: number, record: Buffer): number {
  if (kind === ACTOR_RECORD.tell) return TELL_HEAD_BYTES
  return ASK_HEAD_BYTES + (record[AT.chain] as number) * LINK_BYTES
}

export function keyEnd(start: number, record: Buffer): number {
  return start + record.readUInt16LE(AT.keyBytes)
}

/** `kind` and `id` of a record. */
export function namesOf(kind: number, record: Buffer): { kind: string; id: string } {
  const start = keyStart(kind, record)
  const kindEnd = start + (record[AT.kindBytes] as number)
  return {
    kind: record.toString('latin1', start, kindEnd),
    id: record.toString('utf8', kindEnd + 1, keyEnd(start, record)),
  }
}

/** The message of a record. Throws VALUE_INVALID. */
export function decodeMessage(kind: number, source: number, record: Buffer, valueStart: number): Message {
  const method = record.readUInt32LE(AT.method)
  const argument = decodeValue(record[AT.tag] as number, record, valueStart, record.length)
  if (kind === ACTOR_RECORD.tell) {
    return { method, argument, source: -1, index: 0, sequence: 0, deadlineMs: 0, chain: NOBODY }
  }
  return {
    method,
    argument,
    source,
    index: record.readUInt32LE(AT.index),
    sequence: record.readUInt32LE(AT.sequence),
    deadlineMs: record.readDoubleLE(AT.deadline),
    chain: decodeChain(record),
  }
}

function decodeChain(record: Buffer): readonly number[] {
  const links = (record[AT.chain] as number) * 2
  if (links === 0) return NOBODY
  const chain = new Array<number>(links)
  for (let link = 0; link < links; link++) chain[link] = record.readUInt32LE(ASK_HEAD_BYTES + link * 4)
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
