-- Drop charges that the ledger has. KEYS: books, journal. ARGV: attempt ids.
-- Returns -1 when a rebuild of balances reads the journals: later.
if #rebuilds(nil, clock()) > 0 then
  return -1
end
return redis.call('HDEL', KEYS[2], unpack(ARGV))
