// One worker whose session is served by this program itself, before the load test begins: it measures the server's way
// then, and not how long V8 runs this program's own code as bytecode. What it counts is thrown away.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { compileEarly } from '../../../lib/compilation.ts'
import { channelOf } from '../../session-name.ts'
import type { ToolBridge } from '../../tool-bridge.ts'
import type { RunSurroundings } from '../run.ts'
import { SessionBooks } from './books.ts'
import type { SessionPlan } from './plan.ts'
import { SessionWorker } from './worker.ts'

/** Several times the calls after which code is compiled early, one a millisecond. */
const MESSAGES = 150
const INTERVAL_MS = 1
/** A slow machine, or Redis: then it stays as cold as it is. */
const MS_MAX = 500
const LOOPBACK = '127.0.0.1'

/** Never rejects. */
export async function rehearse(plan: SessionPlan, bridge: ToolBridge, around: RunSurroundings): Promise<void> {
  compileEarly()
  const proxy = new WebSocketServer({
    host: LOOPBACK,
    port: 0,
    // What is published behind the handshake is not missed.
    verifyClient: ({ req }, decide) => {
      channel = channelOf(decodeURIComponent(req.url?.split('/').at(-1) ?? ''), 'down')
      const message = (payload: Buffer): void => client?.send(payload, { binary: false })
      bridge.subscribe(channel, { message, gap: () => {} }).then(
        () => decide(true),
        () => decide(false, 503),
      )
    },
  })
  let client: WebSocket | undefined
  let channel = ''
  proxy.on('connection', (socket) => {
    client = socket
  })
  try {
    await once(proxy, 'listening', { signal: around.signal })
    const times = { warmupMs: 0, durationMs: (MESSAGES - 1) * INTERVAL_MS, intervalMs: INTERVAL_MS, jitter: false }
    const { port } = proxy.address() as AddressInfo
    const worker = new SessionWorker(0, {
      plan: { ...plan, ...times, host: LOOPBACK, port, drainTimeoutMs: MS_MAX },
      bridge,
      books: new SessionBooks(),
      clock: around.clock,
      random: () => 0,
    })
    const over = AbortSignal.any([around.signal, AbortSignal.timeout(MS_MAX)])
    over.addEventListener('abort', () => worker.stop(), { once: true })
    if (await worker.open()) await worker.work()
    await worker.close()
  } catch {
    // It measures all the same, with colder code.
  } finally {
    proxy.close()
    bridge.unsubscribe(channel)
  }
}
