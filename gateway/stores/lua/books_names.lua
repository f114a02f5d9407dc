-- Find the balances of an organization, a part at a time. KEYS: books. ARGV: cursor, how many keys to look at.
-- Returns {next cursor, name, ...}; it is over when the cursor is 0. A name may come twice.
local reply = redis.call('SCAN', ARGV[1], 'MATCH', PREFIX .. 'balance:*', 'COUNT', ARGV[2])
local names = { reply[1] }
for _, key in ipairs(reply[2]) do
  if string.sub(key, 1, #PREFIX + 8) == PREFIX .. 'balance:' then -- a pattern's special characters may be in PREFIX
    names[#names + 1] = string.sub(key, #PREFIX + 9)
  end
end
return names
