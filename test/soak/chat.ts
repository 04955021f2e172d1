// Chat for minutes: a hundred times the whole process killed under load, and a hundred thousand inputs of every kind.
import assert from 'node:assert/strict'
import { fuzzChat } from '../harness/chat-fuzz.ts'
import { killRounds } from '../harness/chat-kill.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { waitUntil } from '../harness/wait.ts'
import { Random } from '../simulation/random.ts'
import { defineScenario, mebibytes, type SoakFigure, spreadOf } from './scenario.ts'

const ROUNDS = 100
const QUICK_ROUNDS = 5
const LOG_EVERY = 10
const INPUTS = 100_000
const QUICK_INPUTS = 4_000
/** Inputs between two looks at memory. */
const STEPS = 10
/** Heaps have grown and caches are full by then; what grows after it is a leak. */
const FIRST_STEPS = 3
const DESCRIPTOR_SLACK = 4
const GROWTH_BYTES_MAX = 64 * 1024 ** 2

export const chat = defineScenario({
  claim:
    'Killed at random moments under the load of 50 clients, chat has every acked message once; whatever bytes it is sent, its answers are the documented ones, and nothing leaks.',
  limitMs: 30 * 60_000,
  async run({ quick, log }) {
    const seed = Date.now() % 1_000_000_000
    log(`seed ${seed}`)
    const figures: SoakFigure[] = [{ name: 'seed', value: `${seed}` }]
    {
      await using server = await ChatServer.start()
      const rounds = quick ? QUICK_ROUNDS : ROUNDS
      let round = 0
      const told = (line: string): void => {
        if (++round % LOG_EVERY === 0) log(line)
      }
      const { acked, unacked, restartMs } = await killRounds(server, { rounds, random: new Random(seed), log: told })
      figures.push(
        { name: 'kills of the process', value: `${rounds}` },
        { name: 'messages acked, each there once', value: `${acked}` },
        { name: 'messages stored whose ACK had not arrived', value: `${unacked}` },
        { name: 'from the kill to ready', value: spreadOf(restartMs) },
      )
    }
    await using server = await ChatServer.start()
    figures.push(...(await fuzzed(server, seed, quick ? QUICK_INPUTS : INPUTS, log)))
    return figures
  },
})

async function fuzzed(
  server: ChatServer,
  seed: number,
  inputs: number,
  log: (line: string) => void,
): Promise<SoakFigure[]> {
  const { server: process } = server
  const step = inputs / STEPS
  const rests: { readonly descriptors: number; readonly bytes: number }[] = []
  let answers = 0
  for (let index = 0; index < STEPS; index++) {
    const figures = await fuzzChat(server, seed + index * step, step)
    answers += figures.answers
    const connections = async (): Promise<number> => (await process.metrics()).sum('polyloop_chat_tcp_connections')
    await waitUntil('all connections have ended', async () => (await connections()) === 0)
    const rest = { descriptors: process.descriptors(), bytes: process.rss() }
    rests.push(rest)
    log(`${(index + 1) * step} inputs, ${rest.descriptors} descriptors, ${mebibytes(rest.bytes)}`)
  }
  const first = rests[FIRST_STEPS - 1]
  const last = rests.at(-1)
  assert.ok(first !== undefined && last !== undefined)
  assert.ok(last.descriptors <= first.descriptors + DESCRIPTOR_SLACK, `${first.descriptors}, then ${last.descriptors}`)
  assert.ok(last.bytes <= first.bytes + GROWTH_BYTES_MAX, `${mebibytes(first.bytes)}, then ${mebibytes(last.bytes)}`)
  const metrics = await process.metrics()
  assert.equal(metrics.sum('polyloop_shard_restarts_total'), 0)
  assert.ok(await process.isHealthy())
  assert.deepEqual(process.stray, [])
  return [
    { name: 'inputs over TCP, UDP and HTTP', value: `${inputs}` },
    { name: 'lines answered over TCP, each as documented', value: `${answers}` },
    {
      name: `after ${FIRST_STEPS} and ${STEPS} of ${STEPS} parts`,
      value: `${first.descriptors} and ${last.descriptors} descriptors, ${mebibytes(first.bytes)} and ${mebibytes(last.bytes)} resident`,
    },
  ]
}
