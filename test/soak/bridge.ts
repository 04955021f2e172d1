// A bridge under load while its Redis is killed, frozen for 20 s, cut off and flooded, again and again: after each of them
// every channel is told and served, and memory stays where it was.
import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { REDIS_LIMITS } from '../../src/bridge/redis-options.ts'
import { bridgeTo } from '../bridge/redis-subject.ts'
import { Traffic } from '../bridge/traffic.ts'
import { startRedis } from '../harness/redis.ts'
import { Relay } from '../harness/relay.ts'
import { pause, waitUntil } from '../harness/wait.ts'
import { defineScenario, mebibytes, spreadOf } from './scenario.ts'

const CHANNELS = 1_000
const CYCLES = 40
const QUICK_CYCLES = 5
const FREEZE_MS = 20_000
const QUICK_FREEZE_MS = 6_000
/** After this many cycles memory is compared: all code has run, and all of the crowd is there. */
const FIRST_CYCLES = 5
const GROWTH_BYTES_MAX = 8 * 1024 * 1024
const RECOVERY_MS = 30_000
const FLOOD = "for i = 1, 400 do redis.call('PUBLISH', KEYS[1], string.rep('x', 100000)) end"

/** What cannot be collected. Resident memory says little after floods of 40 MB. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  // Buffers are let go of by finalizers: what they held goes with the second.
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

export const bridge = defineScenario({
  claim:
    'A bridge whose Redis is killed, frozen, cut off and flooded loses nothing in silence, is never deaf, and does not grow.',
  limitMs: 20 * 60_000,
  async run({ quick, log }) {
    const cycles = quick ? QUICK_CYCLES : CYCLES
    await using server = await startRedis()
    await using relay = await Relay.to(server.port)
    await using subject = await bridgeTo(`redis://127.0.0.1:${relay.port}`, REDIS_LIMITS)
    await using traffic = (await new Traffic(subject.bridge, CHANNELS).open()).start()
    const faults = {
      killed: async () => {
        await server.kill()
        await subject.down()
        await server.start()
      },
      frozen: async () => {
        server.freeze()
        const startMs = performance.now()
        await subject.down()
        found.push(performance.now() - startMs)
        await pause((quick ? QUICK_FREEZE_MS : FREEZE_MS) - (performance.now() - startMs))
        server.thaw()
      },
      'cut off': async () => {
        relay.cut()
        await subject.down()
      },
      'without connections': async () => {
        server.command('CLIENT', 'KILL', 'TYPE', 'normal')
        server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
        await subject.down()
      },
      flooded: async () => {
        const { reconnects } = subject.figures
        server.command('EVAL', FLOOD, 1, traffic.channels[0] ?? '')
        await waitUntil('Redis cuts the subscriber', () => subject.figures.reconnects > reconnects, RECOVERY_MS)
      },
    }
    const found: number[] = []
    const recoveries: number[] = []
    let first = 0
    for (let cycle = 0; cycle < cycles; cycle++) {
      const names = Object.keys(faults) as (keyof typeof faults)[]
      const name = names[cycle % names.length] as keyof typeof faults
      await traffic.flows()
      await faults[name]()
      const startMs = performance.now()
      await subject.up(RECOVERY_MS)
      await traffic.gapsEverywhere(RECOVERY_MS)
      recoveries.push(performance.now() - startMs)
      await traffic.stop()
      for (const ear of traffic.ears) ear.forget((text) => text.length > 20)
      await traffic.proveAlive(RECOVERY_MS)
      traffic.assertGapsTold()
      traffic.forget()
      if (cycle + 1 === FIRST_CYCLES) first = usedBytes()
      traffic.start()
      const isLogged = (cycle + 1) % FIRST_CYCLES === 0
      if (isLogged) log(`${cycle + 1} of ${cycles} cycles, the last one ${name}; ${mebibytes(usedBytes())}`)
    }
    await traffic.stop()
    traffic.forget()
    const last = usedBytes()
    assert.ok(last - first < GROWTH_BYTES_MAX, `${mebibytes(first)} early, then ${mebibytes(last)}`)
    subject.assertIdle()
    assert.equal(server.info('pubsub_channels'), String(CHANNELS))
    assert.equal(relay.connections, 2)
    const ended = [...traffic.outcomes].map(([code, count]) => `${code} ${count}`).join(', ')
    return [
      { name: 'channels, cycles', value: `${CHANNELS}, ${cycles}` },
      { name: 'a frozen server is found after', value: spreadOf(found) },
      { name: 'from the end of a fault until every channel is told', value: spreadOf(recoveries) },
      { name: 'publishes under way, by how they ended', value: ended },
      { name: 'the slowest of them', value: `${traffic.slowestMs.toFixed(0)} ms` },
      { name: 'reconnects', value: String(subject.figures.reconnects) },
      {
        name: `used memory after ${FIRST_CYCLES} cycles, and at the end`,
        value: `${mebibytes(first)}, ${mebibytes(last)}`,
      },
    ]
  },
})
