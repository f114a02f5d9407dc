-- What the scripts that touch money share; it is put before each of them. KEYS[1] is always the organization's `books`.
--
-- The books of an organization have a generation `g` and the time `since` when it began. A balance of another
-- generation says nothing, and is rebuilt from ledger, journal and holds (gateway/stores/balances.py). Whatever makes
-- the books doubtful begins a new generation: recomputing is always right.
--
--   books                hash g, since, n (generations so far), born (when Redis last began with nothing)
--   balance:<name>       hash g, s (spent), h (held), b (when built, ms), a (last alert); rolling ones also f (first
--                        cell) and c<cell>, whose sum s is
--   holds:<instance>     hash attempt -> "<amount>\n<balance>\n..."
--   places:<instance>    hash request -> "<second>\n<tokens>\n<what><counter>\n..."
--   parallel             hash counter -> requests under way
--   rate:<counter>, day:<counter>: rates.lua
--   alerts               hash id -> JSON, until somebody has told them
--   rebuilding           hash token -> "<state> <until, ms>"; while there is one, nothing leaves the journals
--   tap:<token>          hash attempt -> what was settled since that rebuild read the ledger
local PREFIX = string.sub(KEYS[1], 1, -6)
local SETTLING_MS = 5000 -- after a budget changed, replicas may not know it for a second
local MARGIN_MS = 10000 -- a window that began so long after the books did was seen from its first call
local KEPT_MS = 172800000 -- balances of ended windows, for streams that run on

local function whole(number)
  return string.format('%.0f', number)
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function begin_generation(now_ms)
  local time = redis.call('TIME')
  local g = time[1] .. '.' .. time[2] .. '.' .. redis.call('HINCRBY', KEYS[1], 'n', 1)
  redis.call('HSET', KEYS[1], 'g', g, 'since', now_ms)
  redis.call('HSETNX', KEYS[1], 'born', now_ms)
  return g, now_ms
end

local function generation(now_ms)
  local state = redis.call('HMGET', KEYS[1], 'g', 'since')
  if state[1] then
    return state[1], tonumber(state[2])
  end
  return begin_generation(now_ms)
end

-- Claims come packed (stores/books.py): name, start and known in ms, finish (ms, nil for never), cell_ms (0 for calendar
-- windows), cells, limit, mode (refuse, downgrade, notify), pcts (an array, ascending).
local function claims_in(packed)
  local claims = cmsgpack.unpack(packed)
  for _, claim in ipairs(claims) do
    claim.key = PREFIX .. 'balance:' .. claim.name
  end
  return claims
end

-- Let cells that are over fall out of a rolling balance. All cells lie in [first, first + cells + 1].
local function slide(claim, first, spent, now_ms)
  local oldest = math.floor(now_ms / claim.cell_ms) - claim.cells
  if first >= oldest then
    return spent, oldest
  end
  for cell = first, math.min(oldest - 1, first + claim.cells + 1) do
    local amount = redis.call('HGET', claim.key, 'c' .. cell)
    if amount then
      spent = spent - tonumber(amount)
      redis.call('HDEL', claim.key, 'c' .. cell)
    end
  end
  redis.call('HSET', claim.key, 'f', oldest, 's', spent)
  return spent, oldest
end

-- Spent and held of a claim's balance; nil when nobody knows. Sets the claim's `alerted` and, if it rolls, `first`.
local function balance(claim, g, since, now_ms)
  local is_rolling = claim.cell_ms > 0
  local state = redis.call('HMGET', claim.key, 'g', 's', 'h', 'b', 'f', 'a')
  local settled_ms = claim.known + SETTLING_MS
  claim.alerted = state[6]
  if state[1] == g and (tonumber(state[4]) >= settled_ms or now_ms < settled_ms) then
    local spent = tonumber(state[2])
    if is_rolling then
      spent, claim.first = slide(claim, tonumber(state[5]), spent, now_ms)
    end
    return spent, tonumber(state[3])
  end
  local from = claim.start
  if is_rolling then
    claim.first = math.floor(now_ms / claim.cell_ms) - claim.cells
    from = math.max(from, claim.first * claim.cell_ms)
  end
  if state[1] ~= g and from >= since + MARGIN_MS and from >= settled_ms then
    -- All replicas knew the budget before its window began, and the books have run since: nobody has spent anything.
    claim.alerted = false
    redis.call('DEL', claim.key)
    redis.call('HSET', claim.key, 'g', g, 's', 0, 'h', 0, 'b', now_ms)
    if is_rolling then
      redis.call('HSET', claim.key, 'f', claim.first)
    elseif claim.finish then
      redis.call('PEXPIREAT', claim.key, claim.finish + KEPT_MS)
    end
    return 0, 0
  end
  return nil, nil
end

-- A hold's record: its amount and the names of its balances.
local function held_by(record)
  local lines = {}
  for line in string.gmatch(record, '[^\n]+') do
    lines[#lines + 1] = line
  end
  return table.remove(lines, 1), lines
end

local function alert(claim, pct, spent, held, now_ms)
  local what = pct == 100 and 'exhausted' or tostring(pct)
  local id = claim.name .. ':' .. what .. ':' .. whole(claim.limit)
  local said = {
    id = id,
    kind = pct == 100 and 'budget_exhausted' or 'budget_soft_limit',
    budget = string.match(claim.name, '^[^:]*'),
    balance = claim.name,
    pct = pct,
    spent_nusd = whole(spent),
    held_nusd = whole(held),
    limit_nusd = whole(claim.limit),
    at_ms = whole(now_ms),
  }
  redis.call('HSET', PREFIX .. 'alerts', id, cjson.encode(said))
end

-- Tell each threshold once per window and limit. Returns 1 when something was told.
local function alert_crossings(claim, spent, held, is_refused, now_ms)
  local is_exhausted = is_refused or spent >= claim.limit
  if claim.limit <= 0 or not (is_exhausted or spent >= claim.limit * (claim.pcts[1] or 100) / 100) then
    return 0
  end
  local last = 0
  if claim.alerted then
    local limit, pct = string.match(claim.alerted, '^(%d+):(%d+)$')
    last = limit == whole(claim.limit) and tonumber(pct) or 0
  end
  local highest = last
  for _, pct in ipairs(claim.pcts) do
    if pct > last and pct < 100 and spent >= claim.limit * pct / 100 then
      alert(claim, pct, spent, held, now_ms)
      highest = pct
    end
  end
  if is_exhausted and last < 100 then
    alert(claim, 100, spent, held, now_ms)
    highest = 100
  end
  if highest == last then
    return 0
  end
  redis.call('HSET', claim.key, 'a', whole(claim.limit) .. ':' .. highest)
  return 1
end

-- A request's place: when it came, the tokens it was counted with, its counters as "<parallel><minute><day><name>".
local function place_of(record)
  local lines = {}
  for line in string.gmatch(record, '[^\n]+') do
    lines[#lines + 1] = line
  end
  local second, tokens = tonumber(table.remove(lines, 1)), tonumber(table.remove(lines, 1))
  return second, tokens, lines
end

-- The names of a place's counters of one kind: 1 parallel, 2 tokens by the minute, 3 tokens by the day.
local function of_kind(lines, kind)
  local names = {}
  for _, line in ipairs(lines) do
    if string.byte(line, kind) == 49 then -- '1'
      names[#names + 1] = string.sub(line, 4)
    end
  end
  return names
end

local function give_back(lines)
  local names = of_kind(lines, 1)
  if #names == 0 then
    return
  end
  local left, gone = {}, {}
  for i, under_way in ipairs(redis.call('HMGET', PREFIX .. 'parallel', unpack(names))) do
    local rest = (tonumber(under_way) or 0) - 1
    if rest > 0 then
      left[#left + 1], left[#left + 2] = names[i], rest
    else
      gone[#gone + 1] = names[i]
    end
  end
  if #left > 0 then
    redis.call('HSET', PREFIX .. 'parallel', unpack(left))
  end
  if #gone > 0 then
    redis.call('HDEL', PREFIX .. 'parallel', unpack(gone))
  end
end

-- Tokens of the rebuilds under way, in one state or in any; those that ran out of time are nobody's.
local function rebuilds(state, now_ms)
  local found = {}
  local all = redis.call('HGETALL', PREFIX .. 'rebuilding')
  for i = 1, #all, 2 do
    local is, until_ms = string.match(all[i + 1], '^(%a+) (%d+)$')
    if tonumber(until_ms) < now_ms then
      redis.call('HDEL', PREFIX .. 'rebuilding', all[i])
      redis.call('DEL', PREFIX .. 'tap:' .. all[i])
    elseif state == nil or is == state then
      found[#found + 1] = all[i]
    end
  end
  return found
end
