-- Install rebuilt balances: what ledger and journal hold, what was settled since, and all open holds.
-- KEYS: books, instances of the organization. ARGV: token, generation it began in, how many balances, then of each its
-- claim, how many cells (0 for a calendar window), the amount or (cell, amount) of each.
-- Returns 0 when the books became doubtful meanwhile or the rebuild took too long: again.
local now_ms = clock()
local token = ARGV[1]
local mark = redis.call('HGET', PREFIX .. 'rebuilding', token)
redis.call('HDEL', PREFIX .. 'rebuilding', token)
local tap = redis.call('HGETALL', PREFIX .. 'tap:' .. token)
redis.call('DEL', PREFIX .. 'tap:' .. token)
local g = generation(now_ms)
if not mark or tonumber(string.match(mark, ' (%d+)$')) < now_ms or g ~= ARGV[2] then
  return 0
end

local built, at = {}, 4
for _ = 1, tonumber(ARGV[3]) do
  local claim = claim_at(at)
  local cells = tonumber(ARGV[at + CLAIM_SIZE])
  at = at + CLAIM_SIZE + 1
  claim.spent, claim.held, claim.amounts = 0, 0, {}
  if claim.cell_ms == 0 then
    claim.spent = tonumber(ARGV[at])
    at = at + 1
  end
  for _ = 1, cells do
    claim.amounts[tonumber(ARGV[at])] = tonumber(ARGV[at + 1])
    at = at + 2
  end
  built[claim.name] = claim
end
for i = 1, #tap, 2 do
  local cost, names = held_by(tap[i + 1])
  local created_ms = tonumber(table.remove(names, 1))
  for _, name in ipairs(names) do
    local claim = built[name]
    if claim and claim.cell_ms == 0 then
      claim.spent = claim.spent + tonumber(cost)
    elseif claim then
      local cell = math.floor(created_ms / claim.cell_ms)
      claim.amounts[cell] = (claim.amounts[cell] or 0) + tonumber(cost)
    end
  end
end
for _, instance in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  for _, record in ipairs(redis.call('HVALS', PREFIX .. 'holds:' .. instance)) do
    local amount, names = held_by(record)
    for _, name in ipairs(names) do
      if built[name] then
        built[name].held = built[name].held + tonumber(amount)
      end
    end
  end
end
for _, claim in pairs(built) do
  local alerted = redis.call('HGET', claim.key, 'a')
  redis.call('DEL', claim.key)
  if claim.cell_ms > 0 then
    local oldest = math.floor(now_ms / claim.cell_ms) - claim.cells
    redis.call('HSET', claim.key, 'f', oldest)
    for cell, amount in pairs(claim.amounts) do
      if cell >= oldest then
        claim.spent = claim.spent + amount
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
