// E6 in real time: a silent connection is closed 60 to 62.5 s after its last byte; one that sends every 30 s stays.
import assert from 'node:assert/strict'
import { LineClient } from '../harness/line-client.ts'
import { startServer } from '../harness/server.ts'
import { pause, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'
import { defineScenario, type SoakFigure, spreadOf } from './scenario.ts'

/** Of each transport. */
const SILENT = 20
const TALKING = 5

export const idle = defineScenario({
  claim:
    'E6: silent connections are closed 60 to 62.5 s after their last byte; those that send every 30 s stay 3 minutes.',
  limitMs: 6 * 60_000,
  async run({ quick, log }) {
    const idleMs = quick ? 3_000 : 60_000
    const lateMs = quick ? 1_000 : 2_500
    await using server = await startServer({ settings: { 'services.echo.idleTimeout': `${idleMs}ms` } })
    const line = (): Promise<LineClient> => LineClient.open({ port: server.port('echo.tcp') })
    const webSocket = (): Promise<WebSocketClient> => WebSocketClient.open(server.url('echo.ws'))
    const deadlineMs = idleMs + 4 * lateMs

    /** Its last byte, and how long until the server ended it. */
    async function silentLine(): Promise<number> {
      using client = await line()
      const sentMs = performance.now()
      await client.ask('last')
      assert.equal(await within('a FIN', client.ended, deadlineMs), true)
      return performance.now() - sentMs
    }
    async function silentWebSocket(): Promise<number> {
      using client = await webSocket()
      const sentMs = performance.now()
      await client.ask('last')
      assert.deepEqual(await within('a close', client.closed, deadlineMs), { code: 1001, reason: 'idle timeout' })
      return performance.now() - sentMs
    }
    async function talking(open: () => Promise<LineClient | WebSocketClient>): Promise<void> {
      using client = await open()
      for (let round = 0; round < 6; round++) {
        await pause(idleMs / 2)
        assert.equal(client.isOver, false, 'a connection that talks was closed')
        assert.match((await client.ask(`${round}`)) ?? '', new RegExp(`${round}$`))
      }
    }

    log(`${2 * SILENT} silent connections, ${2 * TALKING} that send every ${idleMs / 2000} s`)
    const talkers = Promise.all(Array.from({ length: TALKING }, () => [talking(line), talking(webSocket)]).flat())
    talkers.catch(() => {}) // awaited below
    const [lines, webSockets] = await Promise.all([
      Promise.all(Array.from({ length: SILENT }, silentLine)),
      Promise.all(Array.from({ length: SILENT }, silentWebSocket)),
    ])
    const figures: SoakFigure[] = []
    for (const [name, samples] of Object.entries({ TCP: lines, WebSocket: webSockets })) {
      const figure = { name: `silent ${name} closed after`, value: spreadOf(samples) }
      log(`${figure.name} ${figure.value}`)
      figures.push(figure)
      assert.ok(Math.min(...samples) >= idleMs - 1, `${Math.min(...samples)} ms is early`)
      assert.ok(Math.max(...samples) <= idleMs + lateMs, `${Math.max(...samples)} ms is late`)
    }
    await talkers
    const closed = (await server.metrics()).sum('polyloop_echo_idle_timeouts_total')
    assert.equal(closed, 2 * SILENT)
    figures.push({
      name: 'connections that talked, open to the end',
      value: `${2 * TALKING} for ${(idleMs * 3) / 1000} s`,
    })
    return figures
  },
})
