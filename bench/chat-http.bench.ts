// What a message costs that is posted over HTTP: chat's API, against a bare Fastify handler in a process of its own that
// stores the same rows, one to a commit.
import { join } from 'node:path'
import { BenchFolder, startChat } from './chat-process.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { type LoadRun, runLoadTest } from './load-test-process.ts'
import { pinningNote } from './machine.ts'
import { startPeer } from './server-process.ts'

const BODY = JSON.stringify({ content: 'x'.repeat(64), message_type: 'text' })
const PATH = '/api/chats/1/messages'

export const bench = defineBench({
  question: 'How many messages a second does chat store that come over HTTP, against a bare Fastify handler?',
  async run({ smoke, log }) {
    const { rounds, warmupMs, durationMs } = smoke
      ? { rounds: 1, warmupMs: 0, durationMs: 100 }
      : { rounds: 5, warmupMs: 500, durationMs: 2_000 }
    await using folder = new BenchFolder()
    const starting = [startChat(folder), startPeer('fastify-insert', join(folder.path, 'peer.db'))] as const
    const [chat, fastify] = await Promise.all(starting)
    await using _chat = chat
    await using _fastify = fastify
    log(pinningNote())
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let messages = 0
    for (const connections of smoke ? [2] : [1, 50]) {
      const name = connections === 1 ? '1 connection' : `${connections} connections`
      log(name)
      const runs: Record<'chat' | 'fastify', LoadRun[]> = { chat: [], fastify: [] }
      const round = (key: 'chat' | 'fastify') => async (): Promise<number> => {
        const { httpPort, pids } = key === 'chat' ? chat : fastify
        const times = { warmup: warmupMs / 1_000, duration: durationMs / 1_000 }
        const target = `http://127.0.0.1:${httpPort}${PATH}`
        const run = await runLoadTest(target, pids[0] ?? 0, { connections, body: BODY, ...times })
        runs[key].push(run)
        messages += run.answers
        return run.answers
      }
      const candidates = { chat: round('chat'), fastify: round('fastify') }
      if (!smoke) await interleave(1, candidates) // until the code is optimised
      runs.chat = []
      runs.fastify = []
      const answers = await interleave(rounds, candidates)
      const cpuOf = (key: 'chat' | 'fastify'): number[] => runs[key].map(({ serverCpuUs }) => serverCpuUs)
      ratios.push(
        { name: `chat / Fastify: durable POSTs per second, ${name}`, value: ratioOf(answers.chat, answers.fastify) },
        { name: `chat / Fastify: server CPU per POST, ${name}`, value: ratioOf(cpuOf('chat'), cpuOf('fastify')) },
      )
      for (const key of ['chat', 'fastify'] as const) {
        const p50Ms = median(runs[key].map(({ p50Ns }) => p50Ns / 1e6))
        figures.push(
          { name: `${key}, ${name}`, value: (median(answers[key]) / durationMs) * 1_000, unit: 'POSTs/s' },
          { name: `${key}, ${name}`, value: median(cpuOf(key)), unit: 'µs of CPU per POST' },
          { name: `${key}, ${name}`, value: p50Ms, unit: 'ms until the answer, P50' },
        )
      }
    }
    return { ratios, figures, hash: messages }
  },
})
