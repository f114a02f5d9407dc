-- Drop what the ledger acknowledged, and strike the instance off when nothing of it is left.
-- KEYS: books, open, journal, instances of the organization. ARGV: instance, then attempt id, entry, ...
-- Returns how many entries are left, -1 when a rebuild of balances reads the journals: later.
-- An entry that changed since it was read stays: its owner was only paused, came back and settled.
if #rebuilds(nil, clock()) > 0 then
  return -1
end
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[3], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[3], ARGV[i])
  end
end
local left = redis.call('HLEN', KEYS[2]) + redis.call('HLEN', KEYS[3])
if left == 0 then
  redis.call('SREM', KEYS[4], ARGV[1])
end
return left
