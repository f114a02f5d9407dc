-- Give no answer again that was kept for an organization or a team until now. KEYS: epochs. ARGV: the field.
local before, now = redis.call('HGET', KEYS[1], ARGV[1]), now_us()
if before and tonumber(before) >= tonumber(now) then
  now = string.format('%.0f', tonumber(before) + 1)
end
redis.call('HSET', KEYS[1], ARGV[1], now)
return 1
