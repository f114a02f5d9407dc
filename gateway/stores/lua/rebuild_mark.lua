-- Say how far a rebuild of balances is. KEYS: books. ARGV: token, state (read, tap), for how long (ms).
-- From 'read' on nothing leaves the journals; from 'tap' on what is settled is noted for it.
-- Returns {generation, when the books were begun in this Redis, now}.
local now_ms = clock()
local g = generation(now_ms)
rebuilds(nil, now_ms)
redis.call('HSET', PREFIX .. 'rebuilding', ARGV[1],
  ARGV[2] .. ' ' .. string.format('%.0f', now_ms + tonumber(ARGV[3])))
redis.call('PEXPIRE', PREFIX .. 'rebuilding', tonumber(ARGV[3]) + 60000)
return { g, redis.call('HGET', KEYS[1], 'born'), string.format('%.0f', now_ms) }
