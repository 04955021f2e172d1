// Kills the whole process at random moments while clients send, and looks at what the next one has: rounds on one store.
import assert from 'node:assert/strict'
import type { Random } from '../simulation/random.ts'
import { ChatCrowd } from './chat-crowd.ts'
import { historyOf } from './chat-packet.ts'
import type { ChatServer } from './chat-server.ts'
import { pause, waitUntil } from './wait.ts'

const CLIENTS = 50
const WINDOW = 2
/** Of load, before the kill. */
const LOAD_MS_MAX = 400

export interface KillOptions {
  readonly rounds: number
  readonly random: Random
  /** After each round. */
  log?(line: string): void
}

export interface KillFigures {
  readonly acked: number
  /** Stored, but the ACK had not arrived. */
  readonly unacked: number
  /** From the kill to ready, per round. */
  readonly restartMs: readonly number[]
}

/** Fails when an acked message is missing or doubled, or ids do not rise, in a round or over all of them. */
export async function killRounds(chat: ChatServer, options: KillOptions): Promise<KillFigures> {
  const totals: { readonly chatId: number; readonly count: number }[] = []
  const restartMs: number[] = []
  let acked = 0
  let lastId = 0
  for (let round = 0; round < options.rounds; round++) {
    // A chat of its own, so that a round reads only what is its own.
    const chatId = await chat.addChat(`round ${round}`)
    const port = chat.server.port('chat.tcp')
    using crowd = await ChatCrowd.open(CLIENTS, { port, chatId, name: `r${round}m`, window: WINDOW })
    crowd.start()
    await waitUntil('the load runs', () => crowd.ackCount > CLIENTS)
    await pause(options.random.below(LOAD_MS_MAX))
    const startMs = performance.now()
    await chat.restart()
    restartMs.push(performance.now() - startMs)
    // What the kernel still held of the dead process has arrived then.
    await waitUntil('all have noticed', () => crowd.ends === CLIENTS)
    using reader = await chat.open()
    const history = await historyOf(reader, chatId)
    crowd.assertKept(history)
    assert.deepEqual(crowd.refused, [])
    assert.ok((history[0]?.id ?? 0) > lastId, `round ${round}: ids rise over a restart`)
    lastId = history.at(-1)?.id ?? lastId
    acked += crowd.ackCount
    totals.push({ chatId, count: history.length })
    options.log?.(`round ${round}: ${crowd.ackCount} acked, ${history.length} stored`)
  }
  // What a later kill would have taken from earlier rounds.
  using reader = await chat.open()
  for (const { chatId, count } of totals) assert.equal((await historyOf(reader, chatId)).length, count)
  return { acked, unacked: totals.reduce((sum, { count }) => sum + count, 0) - acked, restartMs }
}
