-- Take a place at a deployment if its provider's limits leave one.
-- KEYS: window, places, leases of the deployment.
-- ARGV: attempt id, instance, tokens, limits (requests, tokens, parallel; -1 is none), lease in ms, and for tests only
-- the time in ms. Returns 1 or 0.
--
-- The window is a hash of one-second cells (r<second>, t<second>) with their sums (R, T). It counts 61 cells: any 60
-- seconds touch at most 61 of them, so no 60 seconds ever hold more than the limit (a bucket refilled by the minute
-- admits twice the limit around its edge).
local WINDOW_S = 61
local limit_requests, limit_tokens, limit_parallel = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local tokens, lease_ms = tonumber(ARGV[3]), tonumber(ARGV[7])
local now_ms = tonumber(ARGV[8])
if not now_ms then
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end

if limit_parallel >= 0 and redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then
  if redis.call('HLEN', KEYS[2]) >= limit_parallel then
    -- Full: places of instances whose lease ran out are nobody's any more.
    local is_dead, has_dead = {}, false
    local leases = redis.call('HGETALL', KEYS[3])
    for i = 1, #leases, 2 do
      if tonumber(leases[i + 1]) < now_ms then
        is_dead[leases[i]], has_dead = true, true
        redis.call('HDEL', KEYS[3], leases[i])
      end
    end
    local places = has_dead and redis.call('HGETALL', KEYS[2]) or {}
    for i = 1, #places, 2 do
      if is_dead[places[i + 1]] then
        redis.call('HDEL', KEYS[2], places[i])
      end
    end
    if redis.call('HLEN', KEYS[2]) >= limit_parallel then
      return 0
    end
  end
end

if limit_requests >= 0 or limit_tokens >= 0 then
  local state = redis.call('HMGET', KEYS[1], 'first', 'last', 'R', 'T')
  -- A clock that was set back must not let cells be forgotten early.
  local last = tonumber(state[2] or '0')
  local now = math.max(math.floor(now_ms / 1000), last)
  local first = tonumber(state[1] or now)
  local requests_sum, tokens_sum = tonumber(state[3] or '0'), tonumber(state[4] or '0')
  if now - last >= WINDOW_S then
    redis.call('DEL', KEYS[1])
    first, requests_sum, tokens_sum = now, 0, 0
  end
  while first <= now - WINDOW_S do
    local cell = redis.call('HMGET', KEYS[1], 'r' .. first, 't' .. first)
    if cell[1] then
      requests_sum = requests_sum - tonumber(cell[1])
      tokens_sum = tokens_sum - tonumber(cell[2])
      redis.call('HDEL', KEYS[1], 'r' .. first, 't' .. first)
    end
    first = first + 1
  end
  local is_full = (limit_requests >= 0 and requests_sum + 1 > limit_requests)
    or (limit_tokens >= 0 and tokens_sum + tokens > limit_tokens)
  if not is_full then
    requests_sum, tokens_sum = requests_sum + 1, tokens_sum + tokens
    redis.call('HINCRBY', KEYS[1], 'r' .. now, 1)
    redis.call('HINCRBY', KEYS[1], 't' .. now, tokens)
  end
  redis.call('HSET', KEYS[1], 'first', first, 'last', now, 'R', string.format('%.0f', requests_sum),
    'T', string.format('%.0f', tokens_sum))
  redis.call('EXPIRE', KEYS[1], WINDOW_S + 60)
  if is_full then
    return 0
  end
end

if limit_parallel >= 0 then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  redis.call('HSET', KEYS[3], ARGV[2], string.format('%.0f', now_ms + lease_ms))
  redis.call('EXPIRE', KEYS[2], 86400)
  redis.call('EXPIRE', KEYS[3], 86400)
end
return 1
