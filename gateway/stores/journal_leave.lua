-- Strike an instance off the organization when nothing of it is left. Returns how many entries are left.
-- KEYS: open, journal, instances of the organization. ARGV: instance.
local left = redis.call('HLEN', KEYS[1]) + redis.call('HLEN', KEYS[2])
if left == 0 then
  redis.call('SREM', KEYS[3], ARGV[1])
end
return left
