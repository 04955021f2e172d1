// What the tools share that play the backend of a session: their flag, and the way to Redis. The client of Redis is loaded
// when the options make sense: help stays fast.
import type { ExitStatus } from './command.ts'
import { DEFAULT_REDIS_URL, redisAddressOf } from './redis-address.ts'
import type { ToolBridge } from './tool-bridge.ts'
import { failureOf, type ToolIo } from './tool-io.ts'

/** Of commander's `option`. */
export const REDIS_URL_OPTION = [
  '--redis-url <url>',
  `the Redis of the session proxy (default: $REDIS_URL, else ${DEFAULT_REDIS_URL})`,
] as const

export interface RedisToolStart {
  readonly tool: string
  readonly redisUrl: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly io: ToolIo
  /** What is wrong with the other options; undefined: nothing. */
  readonly problems: Iterable<string | undefined>
}

/** Connected; or how the tool ends, and it was said why: 2 for senseless options, 1 without Redis, 0 after Ctrl-C. */
export async function openRedis(start: RedisToolStart): Promise<ToolBridge | ExitStatus> {
  const { tool, redisUrl, environment, io } = start
  const problems = [...start.problems].filter((text) => text !== undefined)
  const address = redisAddressOf(redisUrl, environment, (text) => void problems.push(text))
  for (const text of problems) io.stderr.write(`${tool}: ${text}\n`)
  if (address === undefined || problems.length > 0) return 2
  const module = await import('./tool-bridge.ts')
  const opened = await module.ToolBridge.open({ address, signal: io.signal })
  return typeof opened === 'string' ? failureOf(tool, opened, io) : opened
}
