-- Read balances. KEYS: books. ARGV: claims. Returns {spent, held, ...}; '' where unknown.
local now_ms = clock()
local g, since = generation(now_ms)
local reply = {}
for at = 1, #ARGV, CLAIM_SIZE do
  local spent, held = balance(claim_at(at), g, since, now_ms)
  reply[#reply + 1] = spent and string.format('%.0f', spent) or ''
  reply[#reply + 1] = held and string.format('%.0f', held) or ''
end
return reply
