-- Strike an instance off the organization when nothing of it is left. Returns how many entries are left.
-- KEYS: books, open, journal, instances of the organization. ARGV: instance.
local left = redis.call('HLEN', KEYS[2]) + redis.call('HLEN', KEYS[3])
if left == 0 then
  redis.call('DEL', PREFIX .. 'holds:' .. ARGV[1], PREFIX .. 'places:' .. ARGV[1])
  redis.call('SREM', KEYS[4], ARGV[1])
end
return left
