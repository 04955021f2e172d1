// Verified load over WebSocket, TCP and UDP at once for two minutes: nothing is lost, and memory does not grow.
import assert from 'node:assert/strict'
import { median } from '../../bench/harness.ts'
import { loadReport } from '../../bench/load-test-process.ts'
import type { RunReport } from '../../src/cli/load/report.ts'
import { startServer } from '../harness/server.ts'
import { defineScenario, mebibytes, type SoakFigure } from './scenario.ts'

const SHARDS = 4
/** Messages per second of each transport; a part of what one shard can do, so that any machine keeps up. */
const RATES = { ws: 2_000, tcp: 2_000, udp: 1_000 } as const
const CONNECTIONS = 100
const SAMPLE_MS = 1_000
/** The first third fills pools and compiles; after it resident memory may move by so much. */
const GROWTH_BYTES_MAX = 16 * 1024 ** 2

export const echo = defineScenario({
  claim:
    'Two minutes of verified load over three transports lose no message of a connection, and resident memory stays flat.',
  limitMs: 5 * 60_000,
  async run({ quick, log }) {
    const seconds = quick ? 9 : 120
    await using server = await startServer({ shards: SHARDS })
    const resident: number[] = []
    const sampler = setInterval(() => resident.push(server.rss()), SAMPLE_MS)
    log(`${seconds} s, ${RATES.ws + RATES.tcp + RATES.udp} messages/s`)
    const run = async (transport: keyof typeof RATES): Promise<RunReport> => {
      const flags = {
        rate: RATES[transport],
        connections: CONNECTIONS,
        warmup: '0s',
        duration: `${seconds}s`,
        threads: 1,
      }
      const report = await loadReport(`${transport}://127.0.0.1:${server.port(`echo.${transport}`)}`, flags)
      log(`${transport}: ${describe(report)}`)
      return report
    }
    try {
      const [ws, tcp, udp] = await Promise.all([run('ws'), run('tcp'), run('udp')])
      const third = Math.floor(resident.length / 3)
      const early = median(resident.slice(third, 2 * third))
      const late = median(resident.slice(2 * third))
      const figures: SoakFigure[] = Object.entries({ ws, tcp, udp }).map(([name, report]) => ({
        name,
        value: describe(report),
      }))
      figures.push({
        name: 'resident',
        value: `${mebibytes(early)} in the second third, ${mebibytes(late)} in the last`,
      })
      for (const report of [ws, tcp]) {
        assert.equal(report.errors.total, 0, JSON.stringify(report.errors))
        assert.equal(report.messages.answered, report.messages.sent)
        assert.ok(report.messages.sent > 0.9 * RATES.tcp * seconds, `only ${report.messages.sent} messages`)
      }
      // UDP promises nothing; but what returns is right, and on loopback nearly all of it returns.
      assert.equal(udp.messages.wrong, 0)
      assert.ok(udp.messages.answered > 0.99 * udp.messages.sent, describe(udp))
      assert.ok(late - early < GROWTH_BYTES_MAX, `resident memory grew: ${figures.at(-1)?.value}`)
      assert.deepEqual(server.stray, [])
      return figures
    } finally {
      clearInterval(sampler)
    }
  },
})

function describe({ messages, latency, generator }: RunReport): string {
  const { sent, answered, wrong, missing } = messages
  const ms = (ns: number): string => (ns / 1e6).toFixed(2)
  return `${sent} sent, ${answered} answered, ${wrong} wrong, ${missing} missing; P50 ${ms(latency.p50Ns)} ms, P99.9 ${ms(latency.p999Ns)} ms; sent late by P50 ${ms(generator.sendLag?.p50Ns ?? 0)} ms`
}
