-- Admit a call: check and take its limits, hold its money, record its intent. Whoever is refused consumes nothing.
-- KEYS: books, open, instances of the organization. ARGV: attempt id, entry, instance, request id, hold, input tokens,
-- ladder (per cent), the budgets' claims, the limits: name, and where there is one, requests and tokens by the minute,
-- tokens_day, parallel; both packed.
-- Returns {'ok', limit and rest of requests, ms until empty, the same of tokens (-1: none)}
--      or {'limit', which (from 1), what, ms until it would fit, limit, rest}
--      or {'budget', which, spent, held, 'exhausted' | 'downgraded', 1 when an alert was left}
--      or {'unknown', which, ...}: balances to rebuild, then ask again.
local id, entry, instance, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local hold, tokens, ladder = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local claims, limits = claims_in(ARGV[8]), cmsgpack.unpack(ARGV[9])
local now_ms = clock()
local places = PREFIX .. 'places:' .. instance

for which, limit in ipairs(limits) do
  limit.which = which
end

-- Another attempt of the same request keeps the places that the first one took.
local standing = #limits > 0 and redis.call('HGET', places, request)
if standing then
  local had, new = {}, {}
  local _, _, lines = place_of(standing)
  for _, line in ipairs(lines) do
    had[string.sub(line, 4)] = true
  end
  for _, limit in ipairs(limits) do
    if not had[limit.name] then
      new[#new + 1] = limit
    end
  end
  limits = new
end

local lines, parallel, windows, names = {}, {}, {}, {}
for i, limit in ipairs(limits) do
  lines[i] = (limit.parallel and '1' or '0') .. (limit.tokens and '1' or '0') .. (limit.tokens_day and '1' or '0')
    .. limit.name
  if limit.parallel then
    parallel[#parallel + 1] = limit
  end
  if limit.requests or limit.tokens then
    windows[#windows + 1], names[#names + 1] = MINUTE, limit.name
  end
  if limit.tokens_day then
    windows[#windows + 1], names[#names + 1] = DAY, limit.name
  end
end

local taken = {} -- counters and how many requests are under way with this one
if #parallel > 0 then
  local counters = of_kind(lines, 1)
  for i, under_way in ipairs(redis.call('HMGET', PREFIX .. 'parallel', unpack(counters))) do
    local more = (tonumber(under_way) or 0) + 1
    if more > parallel[i].parallel then
      return { 'limit', parallel[i].which, 'parallel', 1000, parallel[i].parallel, 0 }
    end
    taken[2 * i - 1], taken[2 * i] = counters[i], more
  end
end

local seen = counted(windows, names, now_ms)
local reply, told = { 'ok', -1, -1, 0, -1, -1, 0 }, { requests = 2, tokens = 5 }
-- Refuse when `amount` more does not fit; else tell of the tightest limit of its kind.
local function refusal(one, limit, kind, amount)
  local is_tokens = kind ~= 'requests'
  local most = limit[kind == 'tokens_per_day' and 'tokens_day' or kind]
  local rest = most - (is_tokens and one.tokens or one.requests)
  if amount > rest then
    return { 'limit', limit.which, kind, wait_ms(one, most, amount, is_tokens, now_ms), most, math.max(0, rest) }
  end
  local at = told[kind]
  if at and (reply[at] < 0 or rest - amount < reply[at + 1]) then
    reply[at], reply[at + 1], reply[at + 2] = most, rest - amount, 61000
  end
end
local at = 0
for _, limit in ipairs(limits) do
  if limit.requests or limit.tokens then
    at = at + 1
    local refused = limit.requests and refusal(seen[at], limit, 'requests', 1)
      or limit.tokens and refusal(seen[at], limit, 'tokens', tokens)
    if refused then
      return refused
    end
    seen[at].added = limit.tokens and tokens or 0 -- what no limit asks for is not trued up either
  end
  if limit.tokens_day then
    at = at + 1
    local refused = refusal(seen[at], limit, 'tokens_per_day', tokens)
    if refused then
      return refused
    end
    seen[at].added = tokens
  end
end

if #claims > 0 then
  local g, since = generation(now_ms)
  local unknown = { 'unknown' }
  for i, claim in ipairs(claims) do
    claim.spent, claim.held = balance(claim, g, since, now_ms)
    if claim.spent == nil then
      unknown[#unknown + 1] = i
    end
  end
  if #unknown > 1 then
    return unknown
  end
  for i, claim in ipairs(claims) do
    local used = claim.spent + claim.held
    if claim.mode ~= 'notify' and hold > 0 then
      if used + hold > claim.limit then
        local has_alerted = used >= claim.limit * 0.95 and alert_crossings(claim, claim.spent, claim.held, true, now_ms)
        return { 'budget', i, claim.spent, claim.held, 'exhausted', has_alerted or 0 }
      end
      if claim.mode == 'downgrade' and ladder < 100 and used >= claim.limit * ladder / 100 then
        return { 'budget', i, claim.spent, claim.held, 'downgraded', 0 }
      end
    end
  end
end

-- Everything fits. The intent first: a script that fails half way (out of memory) keeps what it did.
redis.call('HSET', KEYS[2], id, entry)
redis.call('SADD', KEYS[3], instance)
if #claims > 0 and hold > 0 then
  local record = { ARGV[5] }
  for i, claim in ipairs(claims) do
    redis.call('HINCRBY', claim.key, 'h', ARGV[5])
    record[i + 1] = claim.name
  end
  redis.call('HSET', PREFIX .. 'holds:' .. instance, id, table.concat(record, '\n'))
end
for _, one in ipairs(seen) do
  count(one, one.now, 1, one.added)
end
if #taken > 0 then
  redis.call('HSET', PREFIX .. 'parallel', unpack(taken))
end
if #lines > 0 then
  local record = standing or (math.floor(now_ms / 1000) .. '\n' .. ARGV[6])
  redis.call('HSET', places, request, record .. '\n' .. table.concat(lines, '\n'))
end
return reply
