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
--   rate:<counter>       requests and tokens by the second; day:<counter>: tokens by ten minutes
--   alerts               hash id -> JSON, until somebody has told them
--   rebuilding           hash token -> "<state> <until, ms>"; while there is one, nothing leaves the journals
--   tap:<token>          hash attempt -> what was settled since that rebuild read the ledger
local PREFIX = string.sub(KEYS[1], 1, -6)
local SETTLING_MS = 5000 -- after a budget changed, replicas may not know it for a second
local MARGIN_MS = 10000 -- a window that began so long after the books did was seen from its first call
local KEPT_MS = 172800000 -- balances of ended windows, for streams that run on

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function begin_generation(now_ms)
  local time = redis.call('TIME')
  local g = time[1] .. '.' .. time[2] .. '.' .. redis.call('HINCRBY', KEYS[1], 'n', 1)
  redis.call('HSET', KEYS[1], 'g', g, 'since', string.format('%.0f', now_ms))
  redis.call('HSETNX', KEYS[1], 'born', string.format('%.0f', now_ms))
  return g, now_ms
end

local function generation(now_ms)
  local state = redis.call('HMGET', KEYS[1], 'g', 'since')
  if state[1] then
    return state[1], tonumber(state[2])
  end
  return begin_generation(now_ms)
end

-- Claims come as CLAIM_SIZE arguments each, from ARGV[at] on.
local CLAIM_SIZE = 9
local function claim_at(at)
  return {
    name = ARGV[at],
    key = PREFIX .. 'balance:' .. ARGV[at],
    start = tonumber(ARGV[at + 1]),
    known = tonumber(ARGV[at + 2]),
    finish = ARGV[at + 3], -- ms, or '' for never
    cell_ms = tonumber(ARGV[at + 4]), -- 0 for calendar windows
    cells = tonumber(ARGV[at + 5]),
    limit = tonumber(ARGV[at + 6]),
    mode = ARGV[at + 7], -- refuse, downgrade, notify
    pcts = ARGV[at + 8], -- "50,80,95"
    at = at,
  }
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
  redis.call('HSET', claim.key, 'f', oldest, 's', string.format('%.0f', spent))
  return spent, oldest
end

-- Spent and held of a claim's balance; nil when nobody knows.
local function balance(claim, g, since, now_ms)
  local is_rolling = claim.cell_ms > 0
  local state = redis.call('HMGET', claim.key, 'g', 's', 'h', 'b', 'f')
  local settled_ms = claim.known + SETTLING_MS
  if state[1] == g and (tonumber(state[4]) >= settled_ms or now_ms < settled_ms) then
    local spent = tonumber(state[2])
    if is_rolling then
      spent = slide(claim, tonumber(state[5]), spent, now_ms)
    end
    return spent, tonumber(state[3])
  end
  local from = claim.start
  if is_rolling then
    from = math.max(from, (math.floor(now_ms / claim.cell_ms) - claim.cells) * claim.cell_ms)
  end
  if state[1] ~= g and from >= since + MARGIN_MS and from >= settled_ms then
    -- All replicas knew the budget before its window began, and the books have run since: nobody has spent anything.
    redis.call('DEL', claim.key)
    redis.call('HSET', claim.key, 'g', g, 's', '0', 'h', '0', 'b', string.format('%.0f', now_ms))
    if is_rolling then
      redis.call('HSET', claim.key, 'f', math.floor(now_ms / claim.cell_ms) - claim.cells)
    elseif claim.finish ~= '' then
      redis.call('PEXPIREAT', claim.key, string.format('%.0f', tonumber(claim.finish) + KEPT_MS))
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

local function alert(claim, what, spent, held, now_ms)
  local id = claim.name .. ':' .. what .. ':' .. ARGV[claim.at + 6]
  local said = {
    id = id,
    kind = what == 'exhausted' and 'budget_exhausted' or 'budget_soft_limit',
    budget = string.match(claim.name, '^[^:]*'),
    balance = claim.name,
    pct = what == 'exhausted' and 100 or tonumber(what),
    spent_nusd = string.format('%.0f', spent),
    held_nusd = string.format('%.0f', held),
    limit_nusd = ARGV[claim.at + 6],
    at_ms = string.format('%.0f', now_ms),
  }
  redis.call('HSET', PREFIX .. 'alerts', id, cjson.encode(said))
end

-- Tell each threshold once per window and limit. Returns 1 when something was told.
local function alert_crossings(claim, spent, held, is_refused, now_ms)
  if claim.limit <= 0 then
    return 0
  end
  local told = 0
  local is_exhausted = is_refused or spent >= claim.limit
  local mark = redis.call('HGET', claim.key, 'a')
  local last = 0
  if mark then
    local limit, pct = string.match(mark, '^(%d+):(%d+)$')
    last = limit == ARGV[claim.at + 6] and tonumber(pct) or 0
  end
  local highest = last
  for text in string.gmatch(claim.pcts, '%d+') do
    local pct = tonumber(text)
    if pct > last and pct < 100 and spent >= claim.limit * pct / 100 then
      alert(claim, text, spent, held, now_ms)
      told, highest = 1, math.max(highest, pct)
    end
  end
  if is_exhausted and last < 100 then
    alert(claim, 'exhausted', spent, held, now_ms)
    told, highest = 1, 100
  end
  if highest > last then
    redis.call('HSET', claim.key, 'a', ARGV[claim.at + 6] .. ':' .. highest)
  end
  return told
end

-- Rates. A window of counted cells: fields first, last, R, T (their sums) and c<cell> = "<requests> <tokens>".
local MINUTE = { cell_ms = 1000, cells = 60, key = PREFIX .. 'rate:' } -- 61 cells hold any 60 seconds
local DAY = { cell_ms = 600000, cells = 144, key = PREFIX .. 'day:' }

local function counted(window, name, now_ms)
  local key = window.key .. name
  local now = math.floor(now_ms / window.cell_ms)
  local state = redis.call('HMGET', key, 'first', 'last', 'R', 'T')
  local seen = { key = key, now = now, first = now - window.cells, requests = 0, tokens = 0, window = window }
  if not state[1] then
    return seen
  end
  seen.now = math.max(now, tonumber(state[2])) -- a clock that was set back forgets nothing early
  seen.first = tonumber(state[1])
  seen.requests, seen.tokens = tonumber(state[3]), tonumber(state[4])
  local oldest = seen.now - window.cells
  for cell = seen.first, math.min(oldest - 1, seen.first + window.cells) do
    local both = redis.call('HGET', key, 'c' .. cell)
    if both then
      local requests, tokens = string.match(both, '^(%S+) (%S+)$')
      seen.requests, seen.tokens = seen.requests - tonumber(requests), seen.tokens - tonumber(tokens)
      redis.call('HDEL', key, 'c' .. cell)
    end
  end
  if seen.first < oldest then
    -- At once: whoever is refused counts nothing, and the sums must not outlive their cells.
    seen.first = oldest
    redis.call('HSET', key, 'first', oldest, 'R', string.format('%.0f', seen.requests), 'T',
      string.format('%.0f', seen.tokens))
  end
  return seen
end

local function count(seen, cell, requests, tokens)
  local both = redis.call('HGET', seen.key, 'c' .. cell)
  local had_requests, had_tokens = 0, 0
  if both then
    had_requests, had_tokens = string.match(both, '^(%S+) (%S+)$')
  end
  seen.requests, seen.tokens = seen.requests + requests, seen.tokens + tokens
  redis.call('HSET', seen.key, 'first', seen.first, 'last', seen.now, 'R', string.format('%.0f', seen.requests), 'T',
    string.format('%.0f', seen.tokens), 'c' .. cell,
    string.format('%.0f %.0f', had_requests + requests, had_tokens + tokens))
  if not both then
    redis.call('PEXPIRE', seen.key, (seen.window.cells + 60) * seen.window.cell_ms)
  end
end

-- Milliseconds until `amount` more would fit below the limit, cell by cell.
local function wait_ms(seen, limit, amount, is_tokens, now_ms)
  local left = is_tokens and seen.tokens or seen.requests
  for cell = seen.first, seen.now do
    local both = redis.call('HGET', seen.key, 'c' .. cell)
    if both then
      local requests, tokens = string.match(both, '^(%S+) (%S+)$')
      left = left - tonumber(is_tokens and tokens or requests)
      if left + amount <= limit then
        return math.max(1, (cell + seen.window.cells + 1) * seen.window.cell_ms - now_ms)
      end
    end
  end
  return (seen.window.cells + 1) * seen.window.cell_ms
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

-- Count the tokens that a request really took; more falls on now, less is taken off where it was counted.
local function true_up(lines, second, delta, now_ms)
  for _, line in ipairs(lines) do
    for index, window in ipairs({ MINUTE, DAY }) do
      if string.sub(line, index + 1, index + 1) == '1' and delta ~= 0 then
        local seen = counted(window, string.sub(line, 4), now_ms)
        local cell = seen.now
        if delta < 0 then
          cell = math.floor(second * 1000 / window.cell_ms)
        end
        if cell >= seen.first then
          count(seen, cell, 0, delta)
        end
      end
    end
  end
end

local function give_back(lines)
  for _, line in ipairs(lines) do
    if string.sub(line, 1, 1) == '1' then
      local name = string.sub(line, 4)
      if redis.call('HINCRBY', PREFIX .. 'parallel', name, -1) <= 0 then
        redis.call('HDEL', PREFIX .. 'parallel', name)
      end
    end
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
