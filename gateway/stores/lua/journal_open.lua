-- Admit a call: check and take its limits, hold its money, record its intent. Whoever is refused consumes nothing.
-- KEYS: books, open, instances of the organization. ARGV: attempt id, entry, instance, request id, hold, input tokens,
-- ladder (per cent), how many budgets, how many limits, the budgets' claims, the limits (name, requests per minute,
-- tokens per minute, tokens per day, parallel; -1 is none).
-- Returns {'ok', limit and rest of requests, ms until empty, the same of tokens (-1: none)}
--      or {'limit', which (from 1), what, ms until it would fit, limit, rest}
--      or {'budget', which, spent, held, 'exhausted' | 'downgraded', 1 when an alert was left}
--      or {'unknown', which, ...}: balances to rebuild, then ask again.
local id, entry, instance, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local hold, tokens, ladder = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local budgets, limits = tonumber(ARGV[8]), tonumber(ARGV[9])
local LIMITS_AT = 10 + budgets * CLAIM_SIZE
local now_ms = clock()
local places = PREFIX .. 'places:' .. instance

local function text(number)
  return string.format('%.0f', number)
end

-- Another attempt of the same request keeps the places that the first one took.
local taken, standing = {}, limits > 0 and redis.call('HGET', places, request) or false
if standing then
  local _, _, lines = place_of(standing)
  for _, line in ipairs(lines) do
    taken[string.sub(line, 4)] = true
  end
end

local reply = { 'ok', '-1', '-1', '0', '-1', '-1', '0' }
local tightest_requests, tightest_tokens = nil, nil
local counts, lines = {}, {}
for i = 1, limits do
  local at = LIMITS_AT + (i - 1) * 5
  local name = ARGV[at]
  if not taken[name] then
    local per_minute, tokens_minute = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local tokens_day, parallel = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    if parallel >= 0 then
      local under_way = tonumber(redis.call('HGET', PREFIX .. 'parallel', name) or '0')
      if under_way + 1 > parallel then
        return { 'limit', i, 'parallel', '1000', text(parallel), '0' }
      end
    end
    if per_minute >= 0 or tokens_minute >= 0 then
      local seen = counted(MINUTE, name, now_ms)
      if per_minute >= 0 then
        if seen.requests + 1 > per_minute then
          return { 'limit', i, 'requests', text(wait_ms(seen, per_minute, 1, false, now_ms)), text(per_minute), '0' }
        end
        local rest = per_minute - seen.requests - 1
        if tightest_requests == nil or rest < tightest_requests then
          tightest_requests = rest
          reply[2], reply[3], reply[4] = text(per_minute), text(rest), '61000'
        end
      end
      if tokens_minute >= 0 then
        local rest = tokens_minute - seen.tokens - tokens
        if rest < 0 then
          return { 'limit', i, 'tokens', text(wait_ms(seen, tokens_minute, tokens, true, now_ms)), text(tokens_minute),
            text(math.max(0, tokens_minute - seen.tokens)) }
        end
        if tightest_tokens == nil or rest < tightest_tokens then
          tightest_tokens = rest
          reply[5], reply[6], reply[7] = text(tokens_minute), text(rest), '61000'
        end
      end
      seen.added = tokens_minute >= 0 and tokens or 0 -- what no limit asks for is not trued up either
      counts[#counts + 1] = seen
    end
    if tokens_day >= 0 then
      local seen = counted(DAY, name, now_ms)
      if seen.tokens + tokens > tokens_day then
        return { 'limit', i, 'tokens_per_day', text(wait_ms(seen, tokens_day, tokens, true, now_ms)), text(tokens_day),
          text(math.max(0, tokens_day - seen.tokens)) }
      end
      seen.added = tokens
      counts[#counts + 1] = seen
    end
    lines[#lines + 1] = (parallel >= 0 and '1' or '0') .. (tokens_minute >= 0 and '1' or '0')
      .. (tokens_day >= 0 and '1' or '0') .. name
  end
end

local claims = {}
if budgets > 0 then
  local g, since = generation(now_ms)
  local unknown = { 'unknown' }
  for i = 1, budgets do
    local claim = claim_at(10 + (i - 1) * CLAIM_SIZE)
    claim.spent, claim.held = balance(claim, g, since, now_ms)
    if claim.spent == nil then
      unknown[#unknown + 1] = i
    end
    claims[i] = claim
  end
  if #unknown > 1 then
    return unknown
  end
  for i, claim in ipairs(claims) do
    local used = claim.spent + claim.held
    if claim.mode ~= 'notify' and hold > 0 then
      if used + hold > claim.limit then
        local told = used >= claim.limit * 0.95 and alert_crossings(claim, claim.spent, claim.held, true, now_ms) or 0
        return { 'budget', i, text(claim.spent), text(claim.held), 'exhausted', told }
      end
      if claim.mode == 'downgrade' and ladder < 100 and used >= claim.limit * ladder / 100 then
        return { 'budget', i, text(claim.spent), text(claim.held), 'downgraded', 0 }
      end
    end
  end
end

-- Everything fits. The intent first: a script that fails half way (out of memory) keeps what it did.
redis.call('HSET', KEYS[2], id, entry)
redis.call('SADD', KEYS[3], instance)
if budgets > 0 and hold > 0 then
  local record = { ARGV[5] }
  for _, claim in ipairs(claims) do
    redis.call('HINCRBY', claim.key, 'h', ARGV[5])
    record[#record + 1] = claim.name
  end
  redis.call('HSET', PREFIX .. 'holds:' .. instance, id, table.concat(record, '\n'))
end
for _, seen in ipairs(counts) do
  count(seen, seen.now, 1, seen.added)
end
if #lines > 0 then
  for _, line in ipairs(lines) do
    if string.sub(line, 1, 1) == '1' then
      redis.call('HINCRBY', PREFIX .. 'parallel', string.sub(line, 4), 1)
    end
  end
  local record = standing or (math.floor(now_ms / 1000) .. '\n' .. ARGV[6])
  redis.call('HSET', places, request, record .. '\n' .. table.concat(lines, '\n'))
end
return reply
