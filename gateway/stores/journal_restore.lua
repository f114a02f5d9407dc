-- Make the open intents of one instance what its memory says they are.
-- KEYS: open, instances of the organization. ARGV: instance, then attempt id, entry, ...
-- Nothing is deleted before all is written: a script that fails half way keeps what it did.
local is_open = {}
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  is_open[ARGV[i]] = true
end
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not is_open[id] then
    redis.call('HDEL', KEYS[1], id)
  end
end
if #ARGV > 1 then
  redis.call('SADD', KEYS[2], ARGV[1])
end
return 1
