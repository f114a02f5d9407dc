-- Move open intents of a dead instance into its journal and read a part of that journal.
-- KEYS: open, journal. ARGV: how many at most. Returns {attempt id, entry, ...}.
-- HSETNX: what the instance settled itself is never replaced by the orphaned entry.
local open = redis.call('HRANDFIELD', KEYS[1], ARGV[1], 'WITHVALUES')
for i = 1, #open, 2 do
  redis.call('HSETNX', KEYS[2], open[i], open[i + 1])
  redis.call('HDEL', KEYS[1], open[i])
end
return redis.call('HRANDFIELD', KEYS[2], ARGV[1], 'WITHVALUES')
