-- Take an intent and its hold back: its call was never made.
-- KEYS: books, open. ARGV: attempt id, instance.
local holds = PREFIX .. 'holds:' .. ARGV[2]
redis.call('HDEL', KEYS[2], ARGV[1])
local record = redis.call('HGET', holds, ARGV[1])
if record then
  redis.call('HDEL', holds, ARGV[1])
  local g = generation(clock())
  local amount, names = held_by(record)
  for _, name in ipairs(names) do
    local key = PREFIX .. 'balance:' .. name
    if redis.call('HGET', key, 'g') == g then
      redis.call('HINCRBY', key, 'h', '-' .. amount)
    end
  end
end
return 1
