-- A rebuild has failed: it keeps nothing from leaving the journals. KEYS: books. ARGV: token.
redis.call('HDEL', PREFIX .. 'rebuilding', ARGV[1])
redis.call('DEL', PREFIX .. 'tap:' .. ARGV[1])
return 1
