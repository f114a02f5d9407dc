-- Replace an intent by its charge.
-- KEYS: open, journal, instances of the organization. ARGV: attempt id, entry, instance.
-- Unconditional: if a sweeper took us for dead and entered the intent as orphaned, the ledger turns this into its
-- correction. Sent twice it does the same.
-- The charge first: a script that fails half way (out of memory) keeps what it did, and the intent must outlive that.
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[3])
return 1
