// How a script of Redis adds to a log and publishes it in the same step: one piece of Lua for every script that does it.
// A log is one stream, whose ids are `epoch-offset`. So the log, where it stands and its epoch are one key with one time
// to live, and are lost together; and a Cluster has it where the channel of its name is.

// TIME begins an epoch in microseconds, so that no later one repeats it. The published bytes are an entry as
// bridge/log-entry.ts reads it. `publish`: PUBLISH or SPUBLISH. A log that ends before what the caller knows of it, in the
// same epoch, has lost entries: what it says next must not have their offsets. No `knownEpoch`: the caller knows nothing.
export const APPEND_FUNCTION = `
local function append(log, payload, countMax, ttlMs, publish, knownEpoch, knownOffset)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  local epoch, offset
  if last then
    epoch, offset = string.match(last[1], '^(%d+)-(%d+)$')
    epoch, offset = tonumber(epoch), tonumber(offset) + 1
    if epoch == tonumber(knownEpoch) and offset <= tonumber(knownOffset) then
      redis.call('DEL', log)
      last = nil
    end
  end
  if not last then
    local time = redis.call('TIME')
    epoch, offset = time[1] * 1000000 + time[2], 1
  end
  redis.call('XADD', log, 'MAXLEN', '=', countMax, string.format('%.0f-%.0f', epoch, offset), 'p', payload)
  redis.call('PEXPIRE', log, ttlMs)
  redis.call(publish, log, struct.pack('<dd', epoch, offset) .. payload)
  return {epoch, offset}
end
`
