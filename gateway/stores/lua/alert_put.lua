-- Put an alert into the outbox unless it was put there lately.
-- KEYS: alerts, mark of this alert. ARGV: alert id, JSON, seconds for which the same alert is not put again.
-- The mark keeps what several processes notice from being told by each of them. Returns 1 when it was put.
if not redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
