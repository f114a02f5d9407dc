-- Install rebuilt balances. KEYS and ARGV: see rebuild.lua. Returns 0 when they must be rebuilt again.
local now_ms = clock()
local built, g = rebuilt(now_ms)
if not built then
  return 0
end
for _, claim in ipairs(built) do
  local alerted = redis.call('HGET', claim.key, 'a')
  redis.call('DEL', claim.key)
  if claim.cell_ms > 0 then
    redis.call('HSET', claim.key, 'f', claim.oldest)
    for cell, amount in pairs(claim.amounts) do
      if cell >= claim.oldest then
        redis.call('HSET', claim.key, 'c' .. cell, string.format('%.0f', amount))
      end
    end
  elseif claim.finish ~= '' then
    redis.call('HSET', claim.key, 'g', '') -- a key that does not exist cannot be told when to expire
    redis.call('PEXPIREAT', claim.key, string.format('%.0f', math.max(tonumber(claim.finish), now_ms) + KEPT_MS))
  end
  redis.call('HSET', claim.key, 'g', g, 's', string.format('%.0f', claim.spent), 'h',
    string.format('%.0f', claim.held), 'b', string.format('%.0f', now_ms))
  if alerted then
    redis.call('HSET', claim.key, 'a', alerted)
  end
end
return 1
