// `polyloop redis-publisher`: plays the backend of a session: a message down to its clients every two seconds.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { problemOf } from './problem.ts'
import { redisAddressOf } from './redis-address.ts'
import { channelOf, idProblem } from './session-name.ts'
import { ToolBridge } from './tool-bridge.ts'
import { type ToolIo, toolIo } from './tool-io.ts'

export const DEFAULT_SESSION = 'test-session-123'
const EVERY_MS = 2_000

/** The flags of the command, as typed. */
export interface RedisPublisherOptions {
  readonly redisUrl?: string
}

export function register(command: Command, context: CommandContext): void {
  command
    .argument('[session_id]', 'the session', DEFAULT_SESSION)
    .option('--redis-url <url>', 'the Redis of the session proxy (default: $REDIS_URL, else redis://127.0.0.1:6379)')
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
  const problems: string[] = []
  const idText = idProblem('session_id', session)
  if (idText !== undefined) problems.push(idText)
  const address = redisAddressOf(options.redisUrl, environment, (text) => void problems.push(text))
  for (const text of problems) io.stderr.write(`redis-publisher: ${text}\n`)
  if (address === undefined || problems.length > 0) return 2

  const opened = await ToolBridge.open({ address, signal: io.signal })
  if (typeof opened === 'string') {
    if (io.signal.aborted) return 0
    io.stderr.write(`redis-publisher: ${opened}\n`)
    return 1
  }
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
