// `polyloop auth-token-setter`: gives a session of the session proxy its token, as a backend does before a client comes.
import type { Command } from 'commander'
import { formatDuration } from '../lib/units.ts'
import { printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { OptionReader } from './option-reader.ts'
import { problemOf } from './problem.ts'
import { openRedis, REDIS_URL_OPTION } from './redis-tool.ts'
import { authKeyOf, idProblem } from './session-name.ts'
import { failureOf, type ToolIo, toolIo } from './tool-io.ts'

/** A year. */
const TTL_MS_MAX = 365 * 24 * 3_600_000
const TOKEN_BYTES_MAX = 16_384

/** The flags of the command, as typed. */
export interface AuthTokenSetterOptions {
  readonly ttl?: string | number
  readonly redisUrl?: string
}

export function register(command: Command, context: CommandContext): void {
  command
    .argument('<session_id>', 'the session')
    .argument('<token>', 'what its clients have to show')
    .option('--ttl <seconds>', 'how long the token lives before its first use (default: for ever)')
    .option(...REDIS_URL_OPTION)
    .action(async (session: string, token: string, options: AuthTokenSetterOptions) => {
      const { environment } = context
      context.setStatus(await runAuthTokenSetter(session, token, options, environment, toolIo(context)))
    })
}

/** 0 when the token is set, or Ctrl-C came; 1 when Redis does not take it; 2 for senseless options. */
export async function runAuthTokenSetter(
  session: string,
  token: string,
  options: AuthTokenSetterOptions,
  environment: Readonly<Record<string, string | undefined>>,
  io: ToolIo,
): Promise<ExitStatus> {
  const reader = new OptionReader(options)
  const ttlMs = options.ttl === undefined ? undefined : reader.duration('ttl', 0, 1, TTL_MS_MAX)
  const problem = idProblem('session_id', session)
  if (problem !== undefined) reader.problem(problem)
  const tokenBytes = Buffer.byteLength(token)
  if (tokenBytes === 0 || tokenBytes > TOKEN_BYTES_MAX) reader.problem(`<token> has 1 to ${TOKEN_BYTES_MAX} bytes`)

  const { redisUrl } = options
  const opened = await openRedis({ tool: 'auth-token-setter', redisUrl, environment, io, problems: reader.problems })
  if (typeof opened === 'number') return opened
  await using bridge = opened
  const key = authKeyOf(session)
  try {
    const ttlSeconds = ttlMs === undefined ? undefined : ttlMs / 1_000
    await bridge.call('set', { key, value: Buffer.from(token), ttlSeconds })
  } catch (error) {
    return failureOf('auth-token-setter', problemOf(error), io)
  }
  const until = ttlMs === undefined ? '' : `\nttl: ${formatDuration(ttlMs)}`
  io.stdout.write(`key: ${printable(key)}\ntoken: ${printable(token)}${until}\n`)
  return 0
}
