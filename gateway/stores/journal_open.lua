-- Record the intent of a call.
-- KEYS: open, instances of the organization. ARGV: attempt id, entry, instance.
-- The instance is registered in the same step: a sweeper that found nothing of it may have struck it off just before.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[3])
return 1
