-- Let an alert be taken again after a while, unless it is gone.
-- KEYS: alerts, due. ARGV: alert id, delay in ms, and for tests only the time in ms.
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
end
return 1
