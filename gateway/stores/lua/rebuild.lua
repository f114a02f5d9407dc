-- What rebuilding balances and comparing them share; it is put after books.lua.
-- KEYS: books, instances of the organization. ARGV: token, generation it began in, claims, packed, then of each how many
-- cells (0 for a calendar window), the amount or (cell, amount) of each.

-- The claims with what ledger and journal hold, what was settled since, and all open holds; ends the rebuild's marks.
-- nil when the books became doubtful meanwhile or the rebuild took too long: again.
local function rebuilt(now_ms)
  local token = ARGV[1]
  local mark = redis.call('HGET', PREFIX .. 'rebuilding', token)
  redis.call('HDEL', PREFIX .. 'rebuilding', token)
  local tap = redis.call('HGETALL', PREFIX .. 'tap:' .. token)
  redis.call('DEL', PREFIX .. 'tap:' .. token)
  local g = generation(now_ms)
  if not mark or tonumber(string.match(mark, ' (%d+)$')) < now_ms or g ~= ARGV[2] then
    return nil
  end

  local built, by_name, at = claims_in(ARGV[3]), {}, 4
  for _, claim in ipairs(built) do
    local cells = tonumber(ARGV[at])
    at = at + 1
    claim.spent, claim.held, claim.amounts = 0, 0, {}
    if claim.cell_ms == 0 then
      claim.spent = tonumber(ARGV[at])
      at = at + 1
    end
    for _ = 1, cells do
      claim.amounts[tonumber(ARGV[at])] = tonumber(ARGV[at + 1])
      at = at + 2
    end
    by_name[claim.name] = claim
  end
  for i = 1, #tap, 2 do
    local cost, names = held_by(tap[i + 1])
    local created_ms = tonumber(table.remove(names, 1))
    for _, name in ipairs(names) do
      local claim = by_name[name]
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
        if by_name[name] then
          by_name[name].held = by_name[name].held + tonumber(amount)
        end
      end
    end
  end
  for _, claim in ipairs(built) do
    if claim.cell_ms > 0 then
      claim.oldest = math.floor(now_ms / claim.cell_ms) - claim.cells
      for cell, amount in pairs(claim.amounts) do
        claim.spent = claim.spent + (cell >= claim.oldest and amount or 0)
      end
    end
  end
  return built, g
end
