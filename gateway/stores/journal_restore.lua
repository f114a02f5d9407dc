-- Make the open intents of one instance what its memory says they are.
-- KEYS: open, instances of the organization. ARGV: instance, then attempt id, entry, ...
redis.call('DEL', KEYS[1])
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
if #ARGV > 1 then
  redis.call('SADD', KEYS[2], ARGV[1])
end
return 1
