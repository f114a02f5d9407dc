-- Read balances. KEYS: books. ARGV: claims, packed. Returns {spent, held, ...}; '' where unknown.
local now_ms = clock()
local g, since = generation(now_ms)
local reply = {}
for _, claim in ipairs(claims_in(ARGV[1])) do
  local spent, held = balance(claim, g, since, now_ms)
  reply[#reply + 1] = spent or ''
  reply[#reply + 1] = held or ''
end
return reply
