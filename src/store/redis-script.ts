// The operations of the store as scripts of Redis: each is one step for the server, and changes nothing when it answers a
// refusal. The table of keys is in docs/STORE-REDIS.md. Numbers are ids and counts below 10^14, so that Lua writes them
// in full; ids of users, which anybody may choose up to 2^53, stay the text they came as.
import { APPEND_FUNCTION } from '../lib/log-script.ts'
import { LISTED_BYTES_MAX, LISTED_MAX } from './store.ts'

/** All keys are of one slot, and begin with it. */
export const KEY_PREFIX = '{polyloop:store}:'
/** Of what lies under the keys; a later one moves to another prefix. */
const VERSION = 1

/** What a script answers instead of a value. */
export const REFUSED = { foreignKey: -1, nameTaken: -2 } as const

/** User 1 and chat 1, which a fresh store holds; made when something is missed. True: it was fresh. */
const SEED = `
local prefix = '${KEY_PREFIX}'
local function seed(now)
  if redis.call('EXISTS', prefix .. 'meta') == 1 then return false end
  redis.call('HSET', prefix .. 'meta', 'version', ${VERSION}, 'messages', 0, 'chats', 1, 'user_next', 2)
  redis.call('HSET', prefix .. 'users', 1, now .. ' user-1')
  redis.call('HSET', prefix .. 'user-names', 'user-1', 1)
  redis.call('HSET', prefix .. 'chat:1', 'name', 'General', 'type', 'group', 'creator_id', 1, 'created_at', now)
  redis.call('HSET', prefix .. 'members:1', 1, 'admin')
  redis.call('ZADD', prefix .. 'chats-of:1', 1, 1)
  return true
end
`

const hasChat = (key: string, now: string): string =>
  `(redis.call('EXISTS', ${key}) == 1 or (seed(${now}) and redis.call('EXISTS', ${key}) == 1))`

/** What a message is kept as, behind its head: `Text 1763750000 1 Hello`. */
const HEAD = "'^%a+ (%d+) %d+ '"

/**
 * KEYS: meta, users, user-names, chat, messages; and the log that tells of it. ARGV: sender, entry, now, `1` to create the
 * sender; and what the log's entry has before and behind the id, entries kept, time to live in ms. The log is first: it
 * is the only one that may refuse.
 */
export const ADD_MESSAGE = `${SEED}${APPEND_FUNCTION}
if not ${hasChat('KEYS[4]', 'ARGV[3]')} then return ${REFUSED.foreignKey} end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then
  if ARGV[4] ~= '1' then return ${REFUSED.foreignKey} end
  local name = 'user-' .. ARGV[1]
  if redis.call('HSETNX', KEYS[3], name, ARGV[1]) == 0 then return ${REFUSED.nameTaken} end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3] .. ' ' .. name)
end
local id = (redis.call('HGET', KEYS[1], 'messages') or 0) + 1
if KEYS[6] then append(KEYS[6], ARGV[5] .. id .. ARGV[6], ARGV[7], ARGV[8], 'PUBLISH') end
redis.call('HSET', KEYS[1], 'messages', id)
local sequence = redis.call('XLEN', KEYS[5]) + 1
redis.call('XADD', KEYS[5], sequence .. '-' .. id, 'm', ARGV[2])
return {id, sequence}
`

/** KEYS: messages. ARGV: first and last sequence, how many at most. */
export const MESSAGES = `return redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])`

/** KEYS: chat, messages. ARGV: how many, now. */
export const RECENT_MESSAGES = `${SEED}
if not ${hasChat('KEYS[1]', 'ARGV[2]')} then return false end
local total = redis.call('XLEN', KEYS[2])
if ARGV[1] == '0' or total == 0 then return {total, {}} end
return {total, redis.call('XRANGE', KEYS[2], math.max(1, total - ARGV[1] + 1), '+')}
`

/** A chat, as a row of a list. */
const ROW = `
local function row(id, last)
  local chat = redis.call('HMGET', prefix .. 'chat:' .. id, 'name', 'type', 'creator_id', 'created_at')
  local members = redis.call('HLEN', prefix .. 'members:' .. id)
  return {id, chat[1], chat[2], chat[3], chat[4], members, last or false}
end
`

/** KEYS: chat, messages. ARGV: id, now. */
export const CHAT = `${SEED}${ROW}
if not ${hasChat('KEYS[1]', 'ARGV[2]')} then return false end
return row(ARGV[1], redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1])
`

/** KEYS: chats-of, users. ARGV: user, now. */
export const CHATS_OF = `${SEED}${ROW}
if redis.call('EXISTS', KEYS[1]) == 0 then seed(ARGV[2]) end
local found = {}
for index, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local last = redis.call('XREVRANGE', prefix .. 'messages:' .. id, '+', '-', 'COUNT', 1)[1]
  local at = last and string.match(last[2][2], ${HEAD}) or redis.call('HGET', prefix .. 'chat:' .. id, 'created_at')
  found[index] = {tonumber(at), tonumber(id)}
end
table.sort(found, function(one, other)
  if one[1] ~= other[1] then return one[1] > other[1] end
  return one[2] > other[2]
end)
local listed, bytes = {}, 0
for index = 1, math.min(#found, ${LISTED_MAX}) do
  local id = found[index][2]
  local last = redis.call('XREVRANGE', prefix .. 'messages:' .. id, '+', '-', 'COUNT', 1)[1]
  local chat = row(id, last)
  bytes = bytes + #chat[2]
  if last then
    local _, head = string.find(last[2][2], ${HEAD})
    bytes = bytes + #last[2][2] - head
  end
  if index > 1 and bytes > ${LISTED_BYTES_MAX} then break end
  listed[index] = chat
end
return listed
`

/** KEYS: chats-of, users. ARGV: user, now. */
export const CHAT_IDS_OF = `${SEED}
local ids = redis.call('ZRANGE', KEYS[1], 0, ${LISTED_MAX - 1})
if #ids == 0 and seed(ARGV[2]) then ids = redis.call('ZRANGE', KEYS[1], 0, ${LISTED_MAX - 1}) end
if #ids == 0 and redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return false end
return ids
`

/** KEYS: meta, users. ARGV: creator, name, type, now, other participants with blanks between them. */
export const CREATE_CHAT = `${SEED}
seed(ARGV[4])
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return ${REFUSED.foreignKey} end
local id = redis.call('HINCRBY', KEYS[1], 'chats', 1)
local members, skipped = prefix .. 'members:' .. id, {}
redis.call('HSET', prefix .. 'chat:' .. id, 'name', ARGV[2], 'type', ARGV[3], 'creator_id', ARGV[1], 'created_at', ARGV[4])
redis.call('HSET', members, ARGV[1], 'admin')
redis.call('ZADD', prefix .. 'chats-of:' .. ARGV[1], id, id)
for user in string.gmatch(ARGV[5], '%d+') do
  if redis.call('HEXISTS', KEYS[2], user) == 1 then
    redis.call('HSET', members, user, 'member')
    redis.call('ZADD', prefix .. 'chats-of:' .. user, id, id)
  else
    skipped[#skipped + 1] = user
  end
end
return {id, skipped}
`

/** KEYS: meta, users, user-names. ARGV: name, now. */
export const CREATE_USER = `${SEED}
seed(ARGV[2])
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then return ${REFUSED.nameTaken} end
local id = tonumber(redis.call('HGET', KEYS[1], 'user_next'))
while redis.call('HEXISTS', KEYS[2], id) == 1 do id = id + 1 end
redis.call('HSET', KEYS[2], id, ARGV[2] .. ' ' .. ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], id)
redis.call('HSET', KEYS[1], 'user_next', id + 1)
return id
`

/** KEYS: state. ARGV: value. */
export const PUT_STATE = `redis.call('SET', KEYS[1], ARGV[1])`
export const GET_STATE = `return redis.call('GET', KEYS[1])`
export const REMOVE_STATE = `redis.call('DEL', KEYS[1])`
