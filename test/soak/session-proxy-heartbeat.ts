// S11 in real time: a client of the session proxy that answers no ping is dropped 30 to 31 s after its last frame; one that
// answers stays.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { bearer, RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'
import { defineScenario, type SoakFigure, spreadOf } from './scenario.ts'

const CLIENTS = 20
const TOLERANCE_MS = 5

export const sessionProxyHeartbeat = defineScenario({
  claim: 'S11: a client that answers no ping is dropped within 31 s of its last frame, and one that does stays.',
  limitMs: 3 * 60_000,
  async run({ quick, log }) {
    const intervalMs = quick ? 1_500 : 15_000
    const timeoutMs = 2 * intervalMs
    const lateMs = 1_000
    // The full run takes the defaults, and so tests them.
    const settings = {
      'services.session-proxy.pingInterval': `${intervalMs}ms`,
      'services.session-proxy.pingTimeout': `${timeoutMs}ms`,
    }
    await using proxy = await RedisProxy.start(quick ? { settings } : {})
    log(`${CLIENTS} clients that answer no ping, ${CLIENTS} that do`)
    const answering = await Promise.all(Array.from({ length: CLIENTS }, (_, index) => proxy.enter(`answers-${index}`)))
    const pings = answering.map(() => 0)
    for (const [index, { raw }] of answering.entries())
      raw.on('ping', () => pings.splice(index, 1, (pings[index] ?? 0) + 1))
    const silentForMs = async (index: number): Promise<number> => {
      const session = `silent-${index}`
      await proxy.backend.setToken(session, TOKEN)
      const options = { headers: bearer(TOKEN), autoPong: false }
      using client = new WebSocketClient(new WebSocket(proxy.url(session), options))
      await within('a WebSocket', once(client.raw, 'open'))
      client.send('"last"')
      const sentMs = performance.now()
      const closed = await within('a close', client.closed, timeoutMs + 10 * lateMs)
      assert.deepEqual(closed, { code: 1001, reason: 'heartbeat timeout' })
      return performance.now() - sentMs
    }
    const samples = await Promise.all(Array.from({ length: CLIENTS }, (_, index) => silentForMs(index)))
    assert.ok(Math.min(...samples) >= timeoutMs - TOLERANCE_MS, `${Math.min(...samples)} ms is early`)
    assert.ok(Math.max(...samples) <= timeoutMs + lateMs, `${Math.max(...samples)} ms is late`)
    await waitUntil('three pings each', () => pings.every((count) => count >= 3), 2 * timeoutMs)
    assert.equal(answering.filter(({ isOver }) => isOver).length, 0, 'who answers stays')
    for (const client of answering) client[Symbol.dispose]()
    assert.deepEqual(proxy.server.stray, [])
    const figures: SoakFigure[] = [{ name: 'silent clients dropped after', value: spreadOf(samples) }]
    return figures
  },
})
