// What Redis does as one step. What a log is to it: lib/log-script.ts.
import { createHash } from 'node:crypto'
import { APPEND_FUNCTION } from '../lib/log-script.ts'

export interface RedisScript {
  readonly text: string
  readonly hash: string
}

// ARGV: payload, entries kept, time to live in ms, PUBLISH or SPUBLISH, epoch and offset the caller has come to.
export const APPEND: RedisScript = script(`${APPEND_FUNCTION}
return append(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
`)

// ARGV: time to live in ms, epoch and offset the caller has come to. A log without entries has one of offset 0, which nobody reads.
export const OPEN: RedisScript = script(`
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if last then
  local epoch, offset = string.match(last[1], '^(%d+)-(%d+)$')
  epoch, offset = tonumber(epoch), tonumber(offset)
  if epoch ~= tonumber(ARGV[2]) or offset >= tonumber(ARGV[3]) then
    if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
    return {epoch, offset}
  end
  redis.call('DEL', KEYS[1])
end
local time = redis.call('TIME')
local epoch = time[1] * 1000000 + time[2]
redis.call('XADD', KEYS[1], string.format('%.0f-0', epoch), 'p', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {epoch, 0}
`)

// ARGV: offset, entries, bytes of their payloads. Answers epoch, offset, first offset, then offset and payload of each.
export const READ: RedisScript = script(`
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return {0, 0, 0} end
local epoch, offset = string.match(last[1], '^(%d+)-(%d+)$')
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local answer = {tonumber(epoch), tonumber(offset), math.max(1, tonumber(string.match(first[1], '%-(%d+)$')))}
if tonumber(ARGV[2]) == 0 then return answer end
local from = string.format('%s-%.0f', epoch, ARGV[1] + 1)
local bytes = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[2])) do
  local payload = entry[2][2]
  bytes = bytes + #payload
  if #answer > 3 and bytes > tonumber(ARGV[3]) then break end
  answer[#answer + 1] = tonumber(string.match(entry[1], '%-(%d+)$'))
  answer[#answer + 1] = payload
end
return answer
`)

/** Scripts of callers whose hashes are remembered: they are few and constant. */
const KNOWN_MAX = 1_000
const known = new Map<string, RedisScript>()

/** The script of a caller. */
export function redisScript(text: string): RedisScript {
  const found = known.get(text)
  if (found !== undefined) return found
  if (known.size >= KNOWN_MAX) known.clear()
  const made = script(text)
  known.set(text, made)
  return made
}

function script(text: string): RedisScript {
  return { text, hash: createHash('sha1').update(text).digest('hex') }
}
