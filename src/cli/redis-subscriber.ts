// `polyloop redis-subscriber`: prints what the clients of a session send up, as a backend would read it.
import { once } from 'node:events'
import type { Command } from 'commander'
import { printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { problemOf } from './problem.ts'
import { openRedis, REDIS_URL_OPTION } from './redis-tool.ts'
import { channelOf, idProblem } from './session-name.ts'
import { failureOf, type ToolIo, toolIo } from './tool-io.ts'

/** The flags of the command, as typed. */
export interface RedisSubscriberOptions {
  readonly redisUrl?: string
}

export function register(command: Command, context: CommandContext): void {
  command
    .argument('<session_id>', 'the session')
    .option(...REDIS_URL_OPTION)
    .action(async (session: string, options: RedisSubscriberOptions) => {
      context.setStatus(await runRedisSubscriber(session, options, context.environment, toolIo(context)))
    })
}

/** 0 after Ctrl-C; 1 when it cannot subscribe; 2 for senseless options. */
export async function runRedisSubscriber(
  session: string,
  options: RedisSubscriberOptions,
  environment: Readonly<Record<string, string | undefined>>,
  io: ToolIo,
): Promise<ExitStatus> {
  const { redisUrl } = options
  const problems = [idProblem('session_id', session)]
  const opened = await openRedis({ tool: 'redis-subscriber', redisUrl, environment, io, problems })
  if (typeof opened === 'number') return opened
  await using bridge = opened
  const channel = channelOf(session, 'up')
  try {
    await bridge.subscribe(channel, {
      message: (payload) => io.stdout.write(`[UPSTREAM] ${printable(payload.toString('utf8'))}\n`),
      gap: () => io.stderr.write('redis-subscriber: Redis was away: messages may be missing here\n'),
    })
  } catch (error) {
    return failureOf('redis-subscriber', problemOf(error), io)
  }
  io.stdout.write(`subscribed to ${printable(channel)}\n`)
  if (!io.signal.aborted) await once(io.signal, 'abort')
  return 0
}
