// A client's connection as the generator sees it, whatever the transport: messages out, messages in, one end.
import type { ErrorKind } from './tally.ts'

export interface Link {
  /** Unsent bytes in this process. */
  readonly bufferedBytes: number
  /** What is sent between `begin` and `end` leaves in one system call where the transport can do that. */
  begin(): void
  /** The message is copied: the caller may overwrite it at once. */
  send(message: Buffer): void
  end(): void
  close(): void
}

/** Told by a link. `closed` comes exactly once, unless the generator closed the link itself. */
export interface LinkListener {
  opened(): void
  /** One message, without its newline: `bytes[start, end)`, valid only during the call. */
  received(bytes: Buffer, start: number, end: number): void
  /** An answer that is none: another frame type, another prefix, an endless line. */
  garbled(): void
  /** Where answers do not repeat the message, but come in the order of the requests: the one to message `sequence`. */
  answered(sequence: number): void
  /** The same, when the answer is an error or says something wrong. */
  failed(sequence: number, kind: ErrorKind, detail: string): void
  closed(kind: ErrorKind, detail: string): void
}

/** Where and how one connection is made. */
export interface LinkAddress {
  readonly address: string
  readonly port: number
  readonly localAddress: string | undefined
}

const REFUSED = new Set(['ECONNREFUSED'])
const LATE = new Set(['ETIMEDOUT'])

/** The kind and detail of a failure before the connection was open. */
export function openFailure(error: unknown): [ErrorKind, string] {
  const code = codeOf(error)
  if (REFUSED.has(code)) return ['refused', '']
  if (LATE.has(code)) return ['connect-timeout', '']
  return ['connect-failed', code]
}

/** A system's or a library's error code, or the first words of its message. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message.slice(0, 80)
}
