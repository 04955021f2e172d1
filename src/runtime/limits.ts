// The limits of connections and records, out of the configuration.
import type { CoreConfig } from '../config/core-options.ts'
import type { NetLimits } from '../net/event-loop.ts'

/** What a record may say beside its message: a name of 1 KiB, numbers. `ring.messageMax` is about messages. */
const RECORD_ROOM_BYTES = 4 * 1024

/** Longest record of a ring. */
export function recordBytesMaxOf({ ring }: CoreConfig): number {
  return ring.messageMax + RECORD_ROOM_BYTES
}

export function limitsOf({ net }: CoreConfig): NetLimits {
  return {
    receiveBufferBytes: net.receiveBuffer,
    sendBufferHighBytes: net.sendBuffer.high,
    sendBufferLowBytes: net.sendBuffer.high / 4,
    sendBufferMaxBytes: net.sendBuffer.max,
    memoryBytes: net.memory,
    closeTimeoutMs: net.closeTimeout,
    headTimeoutMs: net.headTimeout,
    lowPriorityBudget: net.lowPriorityBudget,
  }
}
