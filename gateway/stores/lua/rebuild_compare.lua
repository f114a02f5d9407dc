-- Compare balances with what rebuilding them would give, in one moment. KEYS and ARGV: see rebuild.lua.
-- Returns {spent, held as rebuilt, spent, held as they stand ('' where nobody knows), ...}; {} when it must be done again.
local now_ms = clock()
local built, g = rebuilt(now_ms)
local reply = {}
if built then
  local _, since = generation(now_ms)
  for _, claim in ipairs(built) do
    local spent, held = balance(claim, g, since, now_ms)
    for _, amount in ipairs({ claim.spent, claim.held, spent or '', held or '' }) do
      reply[#reply + 1] = amount
    end
  end
end
return reply
