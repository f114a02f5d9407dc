-- Take the alert that has been due for longest, and keep it from others for a while.
-- KEYS: alerts (hash id -> JSON), due (sorted set, score: when it may be taken, ms), tries (hash id -> how often it was).
-- ARGV: lease in ms, how many new alerts to put in order at most, and for tests only the time in ms.
-- Returns {id, JSON, tries with this one, now in ms}; {ms until the next is due} when none is; {} for an empty outbox.
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whoever crosses a threshold only writes the hash; what is new in it is put in order here, by when it happened.
if redis.call('HLEN', KEYS[1]) > redis.call('ZCARD', KEYS[2]) then
  local room = tonumber(ARGV[2])
  for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
    if not redis.call('ZSCORE', KEYS[2], id) then
      local at = tonumber(string.match(redis.call('HGET', KEYS[1], id), '"at_ms":%s*"?(%d+)') or now)
      redis.call('ZADD', KEYS[2], string.format('%.0f', math.min(at, now)), id)
      room = room - 1
      if room == 0 then
        break
      end
    end
  end
end

while true do
  local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  if #first == 0 then
    return {}
  end
  local due = tonumber(first[2])
  if due > now then
    return {math.ceil(due - now)}
  end
  local alert = redis.call('HGET', KEYS[1], first[1])
  if alert then
    redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[1])), first[1])
    return {first[1], alert, redis.call('HINCRBY', KEYS[3], first[1], 1), now}
  end
  redis.call('ZREM', KEYS[2], first[1])
  redis.call('HDEL', KEYS[3], first[1])
end
