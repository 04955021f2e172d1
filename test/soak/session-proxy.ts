// A host full of sessions: however many there are, Redis sees a handful of connections, every message arrives, and nothing
// is left when they have gone.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { openFilesMax } from '../../bench/machine.ts'
import type { SessionReport } from '../../src/cli/load/session/report.ts'
import { formatNanoseconds } from '../../src/lib/units.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { startServer } from '../harness/server.ts'
import { pause, waitUntil } from '../harness/wait.ts'
import { defineScenario, mebibytes, type SoakFigure } from './scenario.ts'

const bin = join(import.meta.dirname, '../../bin/polyloop.js')
/** For what each process has open besides. */
const SPARE_FILES = 500
/** "A handful": one for commands and one for channels, and none per session. */
const CONNECTIONS_MAX = 4
/** redis-cli, which asks. */
const ASKING = 1
/** The load test has two of its own. */
const OF_THE_LOAD_TEST = 2
const LOOK_MS = 500
const SETTLE_MS = 60_000
const DESCRIPTOR_SLACK = 4

export const sessionProxy = defineScenario({
  claim:
    'Ten thousand sessions on one host take a handful of Redis connections, have every message, and leave nothing behind.',
  limitMs: 6 * 60_000,
  async run({ quick, log }) {
    const wanted = quick ? 500 : 10_000
    const sessions = Math.min(wanted, openFilesMax() - SPARE_FILES)
    if (sessions < wanted) log(`the limit of open files allows ${sessions} sessions only`)
    await using redis = await startRedis()
    await using server = await startServer({
      environment: { REDIS_URL: redis.url },
      services: ['session-proxy'],
    })
    const start = { connections: connectionsOf(redis), descriptors: server.descriptors(), bytes: server.rss() }
    log(`start: ${start.connections} Redis connections, ${mebibytes(start.bytes)} resident`)
    const [warmup, duration, interval] = quick ? [1, 2, 1] : [15, 40, 20]
    const numbers = [sessions, warmup, duration, interval, '127.0.0.1', server.port('session-proxy.ws')].map(String)
    const line = ['load-test', ...numbers, '--json', `--redis-url=${redis.url}`, '--drain-timeout=60']
    const child = spawn(process.execPath, [bin, ...line], {
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit') as Promise<[number | null]>
    const output = text(child.stdout)
    let connections = 0
    let channels = 0
    let bytes = 0
    while (child.exitCode === null && child.signalCode === null) {
      const now = Number(redis.info('pubsub_channels'))
      if (now > channels) {
        channels = now
        bytes = server.rss()
      }
      connections = Math.max(connections, connectionsOf(redis) - OF_THE_LOAD_TEST)
      await pause(LOOK_MS)
    }
    const [status] = await ended
    const report = JSON.parse(await output) as SessionReport
    const { delivery, latency, errors } = report
    log(`${channels} channels, ${connections} Redis connections; ${delivery.received} of ${delivery.sent} messages`)
    assert.equal(status, 0, JSON.stringify(report, null, 2))
    assert.equal(report.sessions, sessions)
    assert.equal(channels, sessions)
    assert.ok(connections <= CONNECTIONS_MAX, `${connections} Redis connections`)
    assert.deepEqual([errors, delivery.missing], [0, 0])
    const isBack = async (): Promise<boolean> =>
      redis.info('pubsub_channels') === '0' &&
      server.descriptors() <= start.descriptors + DESCRIPTOR_SLACK &&
      (await server.metrics()).sum('wsproxy_active_connections') === 0
    await waitUntil('nothing is left of the sessions', isBack, SETTLE_MS)
    assert.equal(redis.command('KEYS', 'session:*'), '')
    assert.deepEqual(server.stray, [])
    const figures: SoakFigure[] = [
      { name: 'sessions at once, each with its channel', value: `${channels}` },
      { name: 'Redis connections of the host: before, at most', value: `${start.connections}, ${connections}` },
      { name: 'messages sent, received', value: `${delivery.sent}, ${delivery.received}` },
      {
        name: 'latency',
        value: `P50 ${formatNanoseconds(latency?.p50Ns ?? 0)}, P99 ${formatNanoseconds(latency?.p99Ns ?? 0)}`,
      },
      {
        name: 'resident: before, with all sessions, each',
        value: `${mebibytes(start.bytes)}, ${mebibytes(bytes)}, ${((bytes - start.bytes) / 1024 / sessions).toFixed(1)} KiB`,
      },
    ]
    return figures
  },
})

/** Without the one that asks. */
function connectionsOf(redis: RedisServer): number {
  return Number(redis.info('connected_clients')) - ASKING
}
