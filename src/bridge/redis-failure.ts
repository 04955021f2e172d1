// What ioredis rejects with, as a failure of the bridge: did the server say no, was nothing sent, or does nobody know?
import { type BridgeFailure, failed } from './bridge-engine.ts'

/** ioredis' words for a command that it did not send. */
const NOT_SENT = /isn't writeable/
/** Words of a server that lets nobody in until somebody changes something. */
const NO_ENTRY = /^(WRONGPASS|NOAUTH|NOPERM|DENIED)\b/

/** Of a command. */
export function failureOfCommand(error: unknown): BridgeFailure {
  if (!(error instanceof Error)) return failed('BRIDGE_LOST', String(error))
  if (error.name === 'ReplyError') return failed('BRIDGE_REFUSED', error.message)
  if (NOT_SENT.test(error.message)) return failed('BRIDGE_DOWN', 'the connection has just ended')
  return failed('BRIDGE_LOST', error.message)
}

/** There is no connection, for this reason. */
export function failureOfLine(problem: string): BridgeFailure {
  return failed(NO_ENTRY.test(problem) ? 'BRIDGE_REFUSED' : 'BRIDGE_DOWN', problem)
}

/** The server's own code: the first word of what it said. */
export function replyCodeOf(error: unknown): string {
  return error instanceof Error && error.name === 'ReplyError' ? (error.message.split(' ', 1)[0] ?? '') : ''
}
