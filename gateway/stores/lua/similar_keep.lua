-- Keep a question for as long as its answer is kept, and note that.
-- KEYS: epochs, answer, questions, ends, log, state. ARGV: organization, team, key and member that asked, epoch that the
-- answer was asked under, name, the question, the most questions of a tenant. Returns 1 when it is kept, else 0: there is
-- no such answer (any more).
if epoch_of(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]) ~= ARGV[5] then
  return 0
end
local ttl_ms = redis.call('PTTL', KEYS[2])
if ttl_ms <= 0 or redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[5] then
  return 0
end
local now_ms, name, most = tonumber(string.sub(now_us(), 1, -4)), ARGV[6], tonumber(ARGV[8])

-- Those that end first make room.
local gone = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now_ms, 'LIMIT', 0, 100)
if #gone > 0 then
  redis.call('ZREM', KEYS[4], unpack(gone))
end
redis.call('ZREM', KEYS[4], name)
local over = math.min(redis.call('ZCARD', KEYS[4]) + 1 - most, 100)
if over > 0 then
  for _, one in ipairs(redis.call('ZRANGE', KEYS[4], 0, over - 1)) do
    gone[#gone + 1] = one
  end
  redis.call('ZREMRANGEBYRANK', KEYS[4], 0, over - 1)
end
if #gone > 0 then
  redis.call('HDEL', KEYS[3], unpack(gone))
  note(KEYS[6], KEYS[5], '-', table.concat(gone, '\n'))
end

local ends_ms = string.format('%.0f', now_ms + ttl_ms)
local member = ARGV[4] == '' and '-' or ARGV[4]
redis.call('HSET', KEYS[3], name, table.concat({ ends_ms, ARGV[1], ARGV[2], ARGV[3], member, ARGV[7] }, ' '))
redis.call('ZADD', KEYS[4], ends_ms, name)
note(KEYS[6], KEYS[5], '+', name)
for i = 3, 6 do
  if redis.call('PTTL', KEYS[i]) < ttl_ms then
    redis.call('PEXPIRE', KEYS[i], ttl_ms)
  end
end
return 1
