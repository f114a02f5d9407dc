-- Read counters. KEYS: books. ARGV: their names. Returns requests and tokens of the minute, tokens of the day and
-- requests under way of each.
local now_ms = clock()
local windows, names = {}, {}
for i, name in ipairs(ARGV) do
  windows[2 * i - 1], names[2 * i - 1] = MINUTE, name
  windows[2 * i], names[2 * i] = DAY, name
end
local seen = counted(windows, names, now_ms)
local reply = {}
for i, name in ipairs(ARGV) do
  local minute, day = seen[2 * i - 1], seen[2 * i]
  reply[#reply + 1] = minute.requests
  reply[#reply + 1] = minute.tokens
  reply[#reply + 1] = day.tokens
  reply[#reply + 1] = tonumber(redis.call('HGET', PREFIX .. 'parallel', name) or 0)
end
return reply
