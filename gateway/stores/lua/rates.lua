-- Limits by the minute and the day; put after books.lua.
--
--   rate:<counter>, day:<counter>   requests and tokens in all, then those of each cell in which there were any, in order
--
-- A cell is a second or ten minutes, numbered from 1970. What lies in the current cell and the `cells` before it counts,
-- so that no minute (day) ever holds more than a limit.
local SUMS, SUMS_SIZE = '<dd', 16
local CELL, CELL_SIZE = '<I4I4d', 16 -- its number, requests, tokens
local MINUTE = { cell_ms = 1000, cells = 60, prefix = PREFIX .. 'rate:' }
local DAY = { cell_ms = 600000, cells = 144, prefix = PREFIX .. 'day:' }

-- What a record says now. Cells that are over are left out; they go when it is written.
local function window_at(window, key, record, now_ms)
  local seen = { window = window, key = key, now = math.floor(now_ms / window.cell_ms), requests = 0, tokens = 0, cells = '' }
  if not record then
    return seen
  end
  seen.requests, seen.tokens = struct.unpack(SUMS, record)
  local size, at = #record, SUMS_SIZE + 1
  if size > SUMS_SIZE then -- a clock that was set back forgets nothing early
    seen.now = math.max(seen.now, (struct.unpack(CELL, record, size - CELL_SIZE + 1)))
  end
  local oldest = seen.now - window.cells
  while at <= size do
    local cell, requests, tokens = struct.unpack(CELL, record, at)
    if cell >= oldest then
      break
    end
    seen.requests, seen.tokens = seen.requests - requests, seen.tokens - tokens
    at = at + CELL_SIZE
  end
  seen.cells = string.sub(record, at)
  return seen
end

-- What counters say now: of `names` in `windows`, both arrays of one length.
local function counted(windows, names, now_ms)
  if #names == 0 then
    return {}
  end
  local keys, seen = {}, {}
  for i, name in ipairs(names) do
    keys[i] = windows[i].prefix .. name
  end
  for i, record in ipairs(redis.call('MGET', unpack(keys))) do
    seen[i] = window_at(windows[i], keys[i], record, now_ms)
  end
  return seen
end

-- Count in a cell. Fewer tokens than nothing are taken off only where some were counted.
local function count(seen, cell, requests, tokens)
  local at = #seen.cells - CELL_SIZE + 1
  while at > 0 and (struct.unpack(CELL, seen.cells, at)) > cell do
    at = at - CELL_SIZE
  end
  local found, had_requests, had_tokens = -1, 0, 0
  if at > 0 then
    found, had_requests, had_tokens = struct.unpack(CELL, seen.cells, at)
  end
  if found ~= cell then
    if tokens < 0 then
      return
    end
    had_requests, had_tokens = 0, 0
  end
  local before = string.sub(seen.cells, 1, found == cell and at - 1 or at + CELL_SIZE - 1)
  local after = string.sub(seen.cells, at + CELL_SIZE)
  seen.requests, seen.tokens = seen.requests + requests, seen.tokens + tokens
  local record = struct.pack(SUMS, seen.requests, seen.tokens) .. before
    .. struct.pack(CELL, cell, had_requests + requests, had_tokens + tokens) .. after
  redis.call('SET', seen.key, record, 'PX', (seen.window.cells + 60) * seen.window.cell_ms)
end

-- Milliseconds until `amount` more would fit below the limit, cell by cell.
local function wait_ms(seen, limit, amount, is_tokens, now_ms)
  local left = is_tokens and seen.tokens or seen.requests
  for at = 1, #seen.cells, CELL_SIZE do
    local cell, requests, tokens = struct.unpack(CELL, seen.cells, at)
    left = left - (is_tokens and tokens or requests)
    if left + amount <= limit then
      return math.max(1, (cell + seen.window.cells + 1) * seen.window.cell_ms - now_ms)
    end
  end
  return (seen.window.cells + 1) * seen.window.cell_ms
end

-- Count the tokens that a request really took; more falls on now, less is taken off where it was counted.
local function true_up(lines, second, delta, now_ms)
  if delta == 0 then
    return
  end
  local windows, names = {}, {}
  for kind, window in pairs({ [2] = MINUTE, [3] = DAY }) do
    for _, name in ipairs(of_kind(lines, kind)) do
      windows[#windows + 1], names[#names + 1] = window, name
    end
  end
  for _, seen in ipairs(counted(windows, names, now_ms)) do
    count(seen, delta < 0 and math.floor(second * 1000 / seen.window.cell_ms) or seen.now, 0, delta)
  end
end
