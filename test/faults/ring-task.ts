// What ring-crash.test.ts tells a reader thread to do.
import type { LinkEnd } from '../../src/ring/link.ts'

export const READER = 9

export const KIND = { count: 1, hang: 2, throw: 3 } as const

export interface ReaderTask {
  readonly generation: number
  readonly doorbells: SharedArrayBuffer
  readonly link: LinkEnd
  /** One word for each message: how often it was handled. */
  readonly counts: SharedArrayBuffer
}
