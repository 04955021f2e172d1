// Why a message of a member is not passed on: what it is told, and how that is counted.
import type { RejectReason } from './counter.ts'
import { TEXT, unknownTypeText } from './text.ts'

export interface Problem {
  readonly text: string
  readonly reason: RejectReason
}

export const PROBLEM = {
  fileName: { text: TEXT.fileName, reason: 'file_name' },
  notUtf8: { text: TEXT.notUtf8, reason: 'not_utf8' },
  headerTooLong: { text: TEXT.headerTooLong, reason: 'header' },
  spoolFull: { text: TEXT.spoolFull, reason: 'spool_full' },
} as const satisfies Record<string, Problem>

export function unknownType(type: number): Problem {
  return { text: unknownTypeText(type), reason: 'type' }
}
