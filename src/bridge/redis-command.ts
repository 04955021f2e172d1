// The calls of a bridge as commands of Redis, and their replies as answers.
import { bufferOf } from '../lib/bytes.ts'
import { LOG_READ_MAX, type LogEntry } from './bridge.ts'
import type { BridgeCall } from './bridge-engine.ts'
import type { RedisArgument, RedisLink } from './redis-link.ts'
import { APPEND, OPEN, READ, type RedisScript, redisScript } from './redis-script.ts'

export interface RedisCommand {
  readonly name: string
  readonly args: RedisArgument[]
  /** Says where a Cluster has it; undefined: anywhere. */
  readonly key: string | undefined
  /** `evalsha` runs it. */
  readonly script?: RedisScript
  /** The answer; throws what is not as expected. */
  readonly answerOf: (reply: unknown) => unknown
}

const MS_PER_SECOND = 1_000

export interface CommandContext {
  /** A Cluster: channels belong to slots, as keys do. */
  readonly isSharded: boolean
  readonly readBytesMax: number
}

/** `ping` is not among them: it measures. */
export function commandOf(call: Exclude<BridgeCall, { operation: 'ping' }>, context: CommandContext): RedisCommand {
  const publish = context.isSharded ? 'spublish' : 'publish'
  switch (call.operation) {
    case 'publish': {
      const { channel, payload } = call.argument
      return { name: publish, args: [channel, bufferOf(payload)], key: channel, answerOf: Number }
    }
    case 'get':
      return { name: 'get', args: [call.argument.key], key: call.argument.key, answerOf: keptOf }
    case 'set': {
      const { key, value, ttlSeconds } = call.argument
      const args: RedisArgument[] = [key, bufferOf(value)]
      if (ttlSeconds != null) args.push('PX', msOf(ttlSeconds))
      return { name: 'set', args, key, answerOf: () => undefined }
    }
    case 'expire': {
      const { key, ttlSeconds } = call.argument
      return { name: 'pexpire', args: [key, msOf(ttlSeconds)], key, answerOf: isOne }
    }
    case 'take':
      return { name: 'getdel', args: [call.argument.key], key: call.argument.key, answerOf: keptOf }
    case 'remove':
      return { name: 'del', args: [call.argument.key], key: call.argument.key, answerOf: isOne }
    case 'append': {
      const { log, payload, countMax, ttlSeconds, after } = call.argument
      const args = [bufferOf(payload), countMax, msOf(ttlSeconds), publish, after?.epoch ?? 0, after?.offset ?? 0]
      return scriptCall(APPEND, [log], args, placeOf)
    }
    case 'open': {
      const { log, ttlSeconds, after } = call.argument
      return scriptCall(OPEN, [log], [msOf(ttlSeconds), after?.epoch ?? 0, after?.offset ?? 0], placeOf)
    }
    case 'script': {
      const { text, keys, args } = call.argument
      const plain = args.map((value) => (value instanceof Uint8Array ? bufferOf(value) : value))
      return scriptCall(redisScript(text), keys, plain, (reply) => reply)
    }
    case 'read': {
      const { log, offset, count } = call.argument
      return scriptCall(READ, [log], [offset, Math.min(count, LOG_READ_MAX), context.readBytesMax], entriesOf)
    }
  }
}

function scriptCall(
  script: RedisScript,
  keys: readonly string[],
  args: readonly RedisArgument[],
  answerOf: RedisCommand['answerOf'],
): RedisCommand {
  return { name: 'evalsha', args: [script.hash, keys.length, ...keys, ...args], key: keys[0], script, answerOf }
}

/** As it goes over this link: whole the first time, by its hash from then on. */
export function commandFor(link: RedisLink, command: RedisCommand): RedisCommand {
  const { script } = command
  return script === undefined || link.knows(script.hash) ? command : withText(command, script)
}

/** The same with the whole script. */
export function withText(command: RedisCommand, script: RedisScript): RedisCommand {
  return { ...command, name: 'eval', args: [script.text, ...command.args.slice(1)] }
}

function placeOf(reply: unknown): unknown {
  const [epoch, offset] = reply as [number, number]
  return { epoch, offset }
}

function entriesOf(reply: unknown): unknown {
  const [epoch = 0, offset = 0, first = 0, ...rest] = reply as (number | Buffer)[]
  const entries: LogEntry[] = []
  for (let index = 0; index + 1 < rest.length; index += 2) {
    entries.push({ offset: Number(rest[index]), payload: rest[index + 1] as Buffer })
  }
  return { epoch, offset, first, entries }
}

function keptOf(reply: unknown): unknown {
  return reply === null ? undefined : reply
}

function isOne(reply: unknown): boolean {
  return Number(reply) === 1
}

function msOf(seconds: number): number {
  return Math.round(seconds * MS_PER_SECOND)
}
