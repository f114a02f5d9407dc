-- An alert was told, or nobody will ever take it.
-- KEYS: alerts, due, tries. ARGV: alert id.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return 1
