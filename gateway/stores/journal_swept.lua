-- Drop what the ledger acknowledged, and strike the instance off when nothing of it is left.
-- KEYS: open, journal, instances of the organization. ARGV: instance, then attempt id, entry, ...
-- Returns how many entries are left. An entry that changed since it was read stays: its owner was only paused, came
-- back and settled.
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
local left = redis.call('HLEN', KEYS[1]) + redis.call('HLEN', KEYS[2])
if left == 0 then
  redis.call('SREM', KEYS[3], ARGV[1])
end
return left
