-- Find holds of calls that are not open, and let them go if asked to. KEYS: books, instances of the organization.
-- ARGV: 1 to let them go. Returns {instance, attempt id, amount, ...}.
-- A call is opened and settled in one step with its hold: there is no moment at which a hold may stand alone.
local loose = {}
for _, instance in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local holds = redis.call('HGETALL', PREFIX .. 'holds:' .. instance)
  for i = 1, #holds, 2 do
    if redis.call('HEXISTS', PREFIX .. 'open:' .. instance, holds[i]) == 0 then
      local amount = held_by(holds[i + 1])
      for _, one in ipairs({ instance, holds[i], amount }) do
        loose[#loose + 1] = one
      end
      if ARGV[1] == '1' then
        redis.call('HDEL', PREFIX .. 'holds:' .. instance, holds[i])
      end
    end
  end
end
if ARGV[1] == '1' and #loose > 0 then
  begin_generation(clock())
end
return loose
