// A TCP connection that echoes lines: one message a line, as it is or behind the echo service's prefix.
import { LineSplitter } from './line.ts'
import type { Link, LinkAddress, LinkListener } from './link.ts'
import type { LoadPlan } from './plan.ts'
import { TcpLink } from './tcp-link.ts'

export function lineLink(plan: LoadPlan, where: LinkAddress, listener: LinkListener): Link {
  const lines = new LineSplitter(plan.sizeBytes, plan.mode === 'prefixed', listener)
  return new TcpLink(where, plan.timeoutMs, {
    opened: () => listener.opened(),
    arrived: (bytes, end) => lines.push(bytes, end),
    closed: (kind, detail) => listener.closed(kind, detail),
  })
}
