// `polyloop redis-subscriber`: prints what the clients of a session send up, as a backend would read it.
import { once } from 'node:events'
import type { Command } from 'commander'
import { printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { problemOf } from './problem.ts'
import { redisAddressOf } from './redis-address.ts'
import { channelOf, idProblem } from './session-name.ts'
import { ToolBridge } from './tool-bridge.ts'
import { type ToolIo, toolIo } from './tool-io.ts'

/** The flags of the command, as typed. */
export interface RedisSubscriberOptions {
  readonly redisUrl?: string
}

export function register(command: Command, context: CommandContext): void {
  command
    .argument('<session_id>', 'the session')
    .option('--redis-url <url>', 'the Redis of the session proxy (default: $REDIS_URL, else redis://127.0.0.1:6379)')
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
  const problems: string[] = []
  const idText = idProblem('session_id', session)
  if (idText !== undefined) problems.push(idText)
  const address = redisAddressOf(options.redisUrl, environment, (text) => void problems.push(text))
  for (const text of problems) io.stderr.write(`redis-subscriber: ${text}\n`)
  if (address === undefined || problems.length > 0) return 2

  const opened = await ToolBridge.open({ address, signal: io.signal })
  if (typeof opened === 'string') return failed(opened, io)
  await using bridge = opened
  const channel = channelOf(session, 'up')
  try {
    await bridge.subscribe(channel, {
      message: (payload) => io.stdout.write(`[UPSTREAM] ${printable(payload.toString('utf8'))}\n`),
      gap: () => io.stderr.write('redis-subscriber: Redis was away: messages may be missing here\n'),
    })
  } catch (error) {
    return failed(problemOf(error), io)
  }
  io.stdout.write(`subscribed to ${printable(channel)}\n`)
  if (!io.signal.aborted) await once(io.signal, 'abort')
  return 0
}

function failed(reason: string, io: ToolIo): ExitStatus {
  if (io.signal.aborted) return 0
  io.stderr.write(`redis-subscriber: ${reason}\n`)
  return 1
}
