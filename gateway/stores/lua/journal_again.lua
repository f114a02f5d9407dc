-- Put charges that Redis lost back into the journal.
-- KEYS: journal, instances of the organization. ARGV: instance, then attempt id, entry, ...
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('SADD', KEYS[2], ARGV[1])
return 1
