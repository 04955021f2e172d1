// What every bridge refuses, whatever its engine: one place, so that the engines cannot differ.
import { BRIDGE_NAME_BYTES_MAX, type LogPosition, SCRIPT_ARGUMENTS_MAX } from './bridge.ts'
import type { ArgumentOf, BridgeCall } from './bridge-engine.ts'

/** A hundred years: longer than anybody waits, and far from where a server's own arithmetic ends. */
export const TTL_SECONDS_MAX = 3_155_760_000
/** Entries that a log may keep: a log is read in memory, by one script. */
export const LOG_COUNT_MAX = 1_000_000

/** Channels on which threads warm themselves up: what goes over them is nobody's, and is not counted. */
export const REHEARSAL_PREFIX = 'polyloop:rehearsal:'

/** What is wrong with a call; undefined: nothing. */
export function problemOf({ operation, argument }: BridgeCall): string | undefined {
  switch (operation) {
    case 'publish':
      return nameProblem(argument.channel) ?? bytesProblem('payload', argument.payload)
    case 'get':
    case 'take':
    case 'remove':
      return nameProblem(argument.key)
    case 'set':
      return (
        nameProblem(argument.key) ??
        bytesProblem('value', argument.value) ??
        (argument.ttlSeconds == null ? undefined : ttlProblem(argument.ttlSeconds))
      )
    case 'expire':
      return nameProblem(argument.key) ?? ttlProblem(argument.ttlSeconds)
    case 'append':
      return (
        nameProblem(argument.log) ??
        bytesProblem('payload', argument.payload) ??
        wholeProblem('countMax', argument.countMax, 1, LOG_COUNT_MAX) ??
        ttlProblem(argument.ttlSeconds) ??
        afterProblem(argument.after)
      )
    case 'open':
      return nameProblem(argument.log) ?? ttlProblem(argument.ttlSeconds) ?? afterProblem(argument.after)
    case 'script':
      return scriptProblem(argument)
    case 'read':
      return (
        nameProblem(argument.log) ??
        wholeProblem('offset', argument.offset, 0, Number.MAX_SAFE_INTEGER) ??
        wholeProblem('count', argument.count, 0, Number.MAX_SAFE_INTEGER)
      )
    case 'ping':
      return undefined
  }
}

export function nameProblem(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'a name is a string'
  if (name.length === 0) return 'a name is not empty'
  const isLong = name.length > BRIDGE_NAME_BYTES_MAX / 3 && Buffer.byteLength(name) > BRIDGE_NAME_BYTES_MAX
  // Half a character has no bytes: two such names would be one and the same on the server.
  if (!name.isWellFormed()) return 'a name is well-formed Unicode'
  return isLong ? `a name has at most ${BRIDGE_NAME_BYTES_MAX} bytes` : undefined
}

function afterProblem(after: LogPosition | undefined): string | undefined {
  return after == null ? undefined : wholeProblem('after.offset', after.offset, 0, Number.MAX_SAFE_INTEGER)
}

function scriptProblem({ text, keys, args }: ArgumentOf<'script'>): string | undefined {
  if (typeof text !== 'string' || text === '') return 'text is the text of a script'
  if (!Array.isArray(keys) || !Array.isArray(args)) return 'keys and args are arrays'
  if (keys.length + args.length > SCRIPT_ARGUMENTS_MAX)
    return `a script gets at most ${SCRIPT_ARGUMENTS_MAX} keys and args`
  for (const key of keys) {
    const problem = nameProblem(key)
    if (problem !== undefined) return problem
  }
  return args.every(isArgument) ? undefined : 'args are strings, finite numbers and bytes'
}

function isArgument(value: unknown): boolean {
  return typeof value === 'string' || Number.isFinite(value) || value instanceof Uint8Array
}

function bytesProblem(what: string, value: unknown): string | undefined {
  return value instanceof Uint8Array ? undefined : `${what} is bytes`
}

function ttlProblem(seconds: unknown): string | undefined {
  if (typeof seconds === 'number' && seconds >= 0.001 && seconds <= TTL_SECONDS_MAX) return undefined
  return `ttlSeconds is a number from 0.001 to ${TTL_SECONDS_MAX}`
}

function wholeProblem(what: string, value: unknown, min: number, max: number): string | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return undefined
  return `${what} is a whole number from ${min} to ${max}`
}
