// `polyloop redis-publisher`: plays the backend of a session: a message down to its clients every two seconds.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { problemOf } from './problem.ts'
import { openRedis, REDIS_URL_OPTION } from './redis-tool.ts'
import { channelOf, idProblem } from './session-name.ts'
import { type ToolIo, toolIo } from './tool-io.ts'

const DEFAULT_SESSION = 'test-session-123'
const EVERY_MS = 2_000

/** The flags of the command, as typed. */
export interface RedisPublisherOptions {
  readonly redisUrl?: string
}

export function register(command: Command, context: CommandContext): void {
  command
    .argument('[session_id]', 'the session', DEFAULT_SESSION)
    .option(...REDIS_URL_OPTION)
    .action(async (session: string, options: RedisPublisherOptions) => {
      context.setStatus(await runRedisPublisher(session, options, context.environment, toolIo(context)))
    })
}

/** 0 after Ctrl-C; 1 without Redis at the start; 2 for senseless options. What Redis refuses later is only said. */
export async function runRedisPublisher(
  session: string,
  options: RedisPublisherOptions,
  environment: Readonly<Record<string, string | undefined>>,
  io: ToolIo,
): Promise<ExitStatus> {
  const { redisUrl } = options
  const problems = [idProblem('session_id', session)]
  const opened = await openRedis({ tool: 'redis-publisher', redisUrl, environment, io, problems })
  if (typeof opened === 'number') return opened
  await using bridge = opened
  const channel = channelOf(session, 'down')
  io.stdout.write(`publishing to ${printable(channel)}\n`)
  for (let number = 1; !io.signal.aborted; number++) {
    const text = `{"type": "data", "payload": "Message #${number}"}`
    try {
      await bridge.call('publish', { channel, payload: Buffer.from(text) })
      io.stdout.write(`${text}\n`)
    } catch (error) {
      io.stderr.write(`redis-publisher: message ${number} was not published: ${problemOf(error)}\n`)
    }
    // Rejects when Ctrl-C comes: that is the end.
    await sleep(EVERY_MS, undefined, { signal: io.signal }).catch(() => undefined)
  }
  return 0
}
