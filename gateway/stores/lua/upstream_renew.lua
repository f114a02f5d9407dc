-- Say which places of a deployment this instance really holds, and that it lives.
-- KEYS: places, leases of the deployment. ARGV: instance, lease in ms, time in ms (tests only, else ''), attempt ids.
-- Places of the instance that it no longer names are given back: a release that never arrived costs nothing for long.
local now_ms = tonumber(ARGV[3])
if not now_ms then
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end
local is_held = {}
for i = 4, #ARGV do
  is_held[ARGV[i]] = true
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[1])
end
local places = redis.call('HGETALL', KEYS[1])
for i = 1, #places, 2 do
  if places[i + 1] == ARGV[1] and not is_held[places[i]] then
    redis.call('HDEL', KEYS[1], places[i])
  end
end
if #ARGV > 3 then
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now_ms + tonumber(ARGV[2])))
  redis.call('EXPIRE', KEYS[1], 86400)
  redis.call('EXPIRE', KEYS[2], 86400)
else
  redis.call('HDEL', KEYS[2], ARGV[1])
end
return 1
