// The layout of calls to a thread that does them for all others, the store's and the bridge's, and of its answers. Kinds
// and operations are theirs.
//
//   call     u32 number | u8 operation | u8 tag | argument
//   answer   u32 number | u8 outcome   | u8 tag | value, or code and problem of a failure
//
// Numbers are the caller's. The value is last, so that it is never copied into the head.
import { decodeValue, encodeValue } from '../lib/codec.ts'
import { type ErrorCode, PolyloopError } from '../lib/errors.ts'

export const CALL_HEAD_BYTES = 6
export const CALL_AT = { number: 0, what: 4, tag: 5 } as const
export const OUTCOME = { ok: 0, failed: 1 } as const

/** Sends one record of two parts, which are copied during the call. False: it was refused, and nothing was taken. */
export type SendRecord = (
  kind: number,
  head: Uint8Array,
  headBytes: number,
  body: Uint8Array,
  bodyStart: number,
  bodyBytes: number,
) => boolean

/** The same, to a thread. */
export type SendRecordTo = (thread: number, ...record: Parameters<SendRecord>) => boolean

export type AnswerOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: ErrorCode; readonly problem: string }

/** A call as whoever waits for its answer has it. */
export interface OpenCall {
  /** What was asked: an operation. */
  readonly subject: unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** `what`: the operation of a call, the outcome of an answer. */
export function writeHead(head: Buffer, number: number, what: number, tag: number): void {
  head.writeUInt32LE(number, CALL_AT.number)
  head[CALL_AT.what] = what
  head[CALL_AT.tag] = tag
}

/** Of a call, or of an answer. */
export function numberOf(record: Buffer): number {
  return record.readUInt32LE(CALL_AT.number)
}

/** The value behind the head; undefined for none. Throws VALUE_INVALID. */
export function valueIn(record: Buffer): unknown {
  return decodeValue(record[CALL_AT.tag] as number, record, CALL_HEAD_BYTES, record.length)
}

/** Settles a call by its answer. */
export function settleCall({ subject, resolve, reject }: OpenCall, answer: Buffer): void {
  try {
    const value = valueIn(answer)
    if (answer[CALL_AT.what] === OUTCOME.ok) {
      resolve(value)
      return
    }
    const { code, problem } = value as { code: ErrorCode; problem: string }
    reject(new PolyloopError(code, { operation: subject, problem }))
  } catch (error) {
    reject(error)
  }
}

export interface AnswerSenderOptions {
  readonly kind: number
  readonly send: SendRecordTo
  /** Longest record `send` can take. */
  readonly bytesMax: number
  /** What a call fails with whose answer is longer. */
  readonly tooLong: ErrorCode
}

export class AnswerSender {
  readonly #options: AnswerSenderOptions
  readonly #head = Buffer.alloc(CALL_HEAD_BYTES)

  constructor(options: AnswerSenderOptions) {
    this.#options = options
  }

  /** False: refused, and nothing was taken. */
  send(thread: number, number: number, outcome: AnswerOutcome): boolean {
    const { kind, send, bytesMax, tooLong: code } = this.#options
    const value = outcome.ok ? outcome.value : { code: outcome.code, problem: outcome.problem }
    const { tag, bytes, start, end } = encodeValue(value)
    const length = end - start
    if (CALL_HEAD_BYTES + length > bytesMax) {
      return this.send(thread, number, { ok: false, code, problem: `the answer is too long: ${length} bytes` })
    }
    writeHead(this.#head, number, outcome.ok ? OUTCOME.ok : OUTCOME.failed, tag)
    return send(thread, kind, this.#head, CALL_HEAD_BYTES, bytes, start, length)
  }
}
