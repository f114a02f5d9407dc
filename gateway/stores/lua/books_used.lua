-- Read counters. KEYS: books. ARGV: their names. Returns requests and tokens of the minute, tokens of the day and
-- requests under way of each.
local now_ms = clock()
local reply = {}
for _, name in ipairs(ARGV) do
  local minute, day = counted(MINUTE, name, now_ms), counted(DAY, name, now_ms)
  reply[#reply + 1] = string.format('%.0f', minute.requests)
  reply[#reply + 1] = string.format('%.0f', minute.tokens)
  reply[#reply + 1] = string.format('%.0f', day.tokens)
  reply[#reply + 1] = redis.call('HGET', PREFIX .. 'parallel', name) or '0'
end
return reply
