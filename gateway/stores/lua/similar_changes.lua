-- What changed since a position. KEYS: state, log, questions. ARGV: run and count of the position, the most changes.
-- Returns {run, count, {what, names, question or '', ...}}, or {run, count}: all is to be read anew, and followed from
-- there.
local state = redis.call('HMGET', KEYS[1], 'run', 'count')
local run, count = state[1] or '', state[2] or '0'
if run ~= ARGV[1] or tonumber(count) < tonumber(ARGV[2]) then -- the latter: after a failover
  return { run, count }
end
local next_count = tonumber(ARGV[2]) + 1
if tonumber(count) < next_count then
  return { run, ARGV[2], {} }
end
local from = string.format('%.0f-0', next_count)
local records = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', ARGV[3])
if not records[1] or records[1][1] ~= from then
  return { run, count }
end
local changes, last = {}, from
for _, record in ipairs(records) do
  last = record[1]
  local what, names = record[2][1], record[2][2]
  changes[#changes + 1] = what
  changes[#changes + 1] = names
  changes[#changes + 1] = what == '+' and redis.call('HGET', KEYS[3], names) or ''
end
return { run, string.sub(last, 1, -3), changes }
