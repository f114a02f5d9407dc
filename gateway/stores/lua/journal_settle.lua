-- Replace an intent by its charge and its hold by what it cost.
-- KEYS: books, open, journal, instances of the organization. ARGV: attempt id, entry, instance, cost, created (ms),
-- request id, tokens, 1 if the request ends with it, its budgets' claims, packed, 1 if it may stand as orphaned.
-- Returns 1 when an alert was left. Sent twice it does the same.
-- The charge first: a script that fails half way (out of memory) keeps what it did, and the intent must outlive that.
local id, instance = ARGV[1], ARGV[3]
local cost, created_ms, claims = tonumber(ARGV[4]), tonumber(ARGV[5]), claims_in(ARGV[9])
local was_journaled = redis.call('HSET', KEYS[3], id, ARGV[2]) == 0
local was_open = redis.call('HDEL', KEYS[2], id) == 1
redis.call('SADD', KEYS[4], instance)
local now_ms = clock()

local places = PREFIX .. 'places:' .. instance
local place = redis.call('HGET', places, ARGV[6])
if place and was_open then
  local second, counted_tokens, lines = place_of(place)
  local tokens = tonumber(ARGV[7])
  if ARGV[8] == '1' then
    true_up(lines, second, tokens - counted_tokens, now_ms)
    give_back(lines)
    redis.call('HDEL', places, ARGV[6])
  elseif tokens > 0 then
    true_up(lines, second, tokens, now_ms)
  end
end

if not was_open or ARGV[10] == '1' then
  redis.call('HDEL', PREFIX .. 'holds:' .. instance, id)
  if was_open or not was_journaled then
    -- A sweeper took us for dead and entered the intent as orphaned, or Redis had lost it: the ledger knows what to
    -- make of this charge, the balances do not.
    begin_generation(now_ms)
  end
  return 0
end

local amount, names = '0', {}
local record = redis.call('HGET', PREFIX .. 'holds:' .. instance, id)
if record then
  redis.call('HDEL', PREFIX .. 'holds:' .. instance, id)
  amount, names = held_by(record)
end
local is_held = {}
for _, name in ipairs(names) do
  is_held[name] = true
end

local told, drawn_on = 0, {}
if #claims > 0 then
  local g, since = generation(now_ms)
  for i, claim in ipairs(claims) do
    local spent, held = balance(claim, g, since, now_ms)
    if spent ~= nil then
      if is_held[claim.name] then
        redis.call('HINCRBY', claim.key, 'h', '-' .. amount)
        held = held - tonumber(amount)
      end
      local cell = claim.cell_ms > 0 and math.floor(created_ms / claim.cell_ms)
      if cost ~= 0 and not (cell and cell < claim.first) then
        if cell then
          redis.call('HINCRBY', claim.key, 'c' .. cell, ARGV[4])
        end
        redis.call('HINCRBY', claim.key, 's', ARGV[4])
        told = math.max(told, alert_crossings(claim, spent + cost, held, false, now_ms))
      end
    end
    is_held[claim.name] = nil
    drawn_on[i] = claim.name
  end
end
for name in pairs(is_held) do
  -- Held on a budget that is no more, or has changed: whoever uses the balance again rebuilds it.
  redis.call('HDEL', PREFIX .. 'balance:' .. name, 'g')
  drawn_on[#drawn_on + 1] = name
end

if #drawn_on > 0 then
  for _, token in ipairs(rebuilds('tap', now_ms)) do
    redis.call('HSET', PREFIX .. 'tap:' .. token, id,
      ARGV[4] .. '\n' .. ARGV[5] .. '\n' .. table.concat(drawn_on, '\n'))
  end
end
return told
