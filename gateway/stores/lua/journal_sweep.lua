-- Move open intents of a dead instance into its journal, free what they held, and read a part of that journal.
-- KEYS: books, open, journal. ARGV: how many at most, instance. Returns {attempt id, entry, ...}.
-- HSETNX: what the instance settled itself is never replaced by the orphaned entry.
local open = redis.call('HRANDFIELD', KEYS[2], ARGV[1], 'WITHVALUES')
local holds, places = PREFIX .. 'holds:' .. ARGV[2], PREFIX .. 'places:' .. ARGV[2]
for i = 1, #open, 2 do
  redis.call('HSETNX', KEYS[3], open[i], open[i + 1])
  redis.call('HDEL', KEYS[2], open[i])
  redis.call('HDEL', holds, open[i])
end
if #open > 0 then
  begin_generation(clock()) -- the balances are rebuilt, with these charges and without these holds
end
if redis.call('HLEN', KEYS[2]) == 0 then
  for _, record in ipairs(redis.call('HVALS', places)) do
    local _, _, lines = place_of(record)
    give_back(lines)
  end
  redis.call('DEL', holds, places)
end
return redis.call('HRANDFIELD', KEYS[3], ARGV[1], 'WITHVALUES')
