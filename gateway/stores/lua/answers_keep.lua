-- Keep an answer, unless what it was asked under has been purged, and let go of the lead.
-- KEYS: answer, lease, epochs, sizes. ARGV: organization, team, key and member that ask, who leads, epoch that it was
-- asked under, answer, how long in ms, the most bytes of a tenant. Returns 1 when it is kept, else 0.
if redis.call('GET', KEYS[2]) == ARGV[5] then
  redis.call('DEL', KEYS[2])
end
if epoch_of(KEYS[3], ARGV[1], ARGV[2], ARGV[3], ARGV[4]) ~= ARGV[6] then
  return 0
end
local now_ms = string.sub(now_us(), 1, -4)
local size, ttl_ms, most = #ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])

-- The sizes: answers by the time at which they end, and 'total'. Those that end first make room.
local total = tonumber(redis.call('HGET', KEYS[3], 'bytes') or '0')
local function forget(member)
  local split = string.find(member, ' ', 1, true)
  redis.call('ZREM', KEYS[4], member)
  total = total - tonumber(string.sub(member, 1, split - 1))
  return string.sub(member, split + 1)
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now_ms, 'LIMIT', 0, 100)) do
  forget(member)
end
-- What stands there, or stood there until it ended or was evicted: mostly the same, and so of the same size.
for _, before in ipairs({ redis.call('HGET', KEYS[1], 'size') or size, size }) do
  local member = before .. ' ' .. KEYS[1]
  if redis.call('ZSCORE', KEYS[4], member) then
    forget(member)
  end
end
while total + size > most do
  local first = redis.call('ZRANGE', KEYS[4], 0, 0)[1]
  if not first then
    total = 0
    break
  end
  redis.call('DEL', forget(first))
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'answer', ARGV[7], 'epoch', ARGV[6], 'organization', ARGV[1], 'team', ARGV[2],
  'key', ARGV[3], 'member', ARGV[4], 'at', now_ms, 'size', size)
redis.call('PEXPIRE', KEYS[1], ttl_ms)
redis.call('ZADD', KEYS[4], string.format('%.0f', tonumber(now_ms) + ttl_ms), size .. ' ' .. KEYS[1])
redis.call('PEXPIRE', KEYS[4], 864000000)
redis.call('HSET', KEYS[3], 'bytes', string.format('%.0f', total + size))
return 1
