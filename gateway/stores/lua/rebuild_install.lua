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
        redis.call('HSET', claim.key, 'c' .. cell, amount)
      end
    end
  elseif claim.finish then
    redis.call('HSET', claim.key, 'g', '') -- a key that does not exist cannot be told when to expire
    redis.call('PEXPIREAT', claim.key, math.max(claim.finish, now_ms) + KEPT_MS)
  end
  redis.call('HSET', claim.key, 'g', g, 's', claim.spent, 'h', claim.held, 'b', now_ms)
  if alerted then
    redis.call('HSET', claim.key, 'a', alerted)
  end
end
return 1
