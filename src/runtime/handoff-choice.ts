// How sockets reach their shards: by their raw handles where this Node can, else the documented way.
import { PolyloopError } from '../lib/errors.ts'
import { selfTest } from '../net/handoff.ts'
import type { Logger } from '../observe/logger.ts'
import type { ThreadPlan } from './thread-spawner.ts'

/** True: raw handles. Throws HANDOFF_UNSUPPORTED if a listener cannot do without them. */
export async function chooseHandoff({ config, listeners }: ThreadPlan, log: Logger): Promise<boolean> {
  if (config.net.handoff === 'auto' && (await selfTest())) return true
  log.warn('net.handoff_public', { reason: config.net.handoff === 'public' ? 'configured' : 'self-test failed' })
  // The public way moves unread sockets only: the header would reach the service as data, and whoever sends one would
  // be taken for the proxy.
  const proxied = listeners.find(({ proxyProtocol }) => proxyProtocol)
  if (proxied === undefined) return false
  const listener = `services.${proxied.service}.${proxied.transport}`
  throw new PolyloopError('HANDOFF_UNSUPPORTED', { listener, option: 'proxyProtocol' })
}
