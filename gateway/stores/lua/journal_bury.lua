-- Forget a dead instance, unless it has beaten again. KEYS: instances. ARGV: instance, its last beat as we saw it.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
