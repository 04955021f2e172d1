// The limits of connections, out of the configuration.
import type { CoreConfig } from '../config/core-options.ts'
import type { NetLimits } from '../net/event-loop.ts'

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
