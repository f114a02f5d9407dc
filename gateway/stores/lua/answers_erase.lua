-- Remove the answers that somebody got. KEYS: epochs, sizes. ARGV: the field that says who ('organization', 'team',
-- 'key', 'member'), the id in it, members of the sizes. Returns how many there were.
local removed, bytes = 0, 0
for i = 3, #ARGV do
  local split = string.find(ARGV[i], ' ', 1, true)
  local answer = string.sub(ARGV[i], split + 1)
  if redis.call('HGET', answer, ARGV[1]) == ARGV[2] then
    redis.call('DEL', answer)
    removed = removed + 1
    if redis.call('ZREM', KEYS[2], ARGV[i]) == 1 then
      bytes = bytes + tonumber(string.sub(ARGV[i], 1, split - 1))
    end
  end
end
if bytes > 0 then
  local total = tonumber(redis.call('HGET', KEYS[1], 'bytes') or '0')
  redis.call('HSET', KEYS[1], 'bytes', string.format('%.0f', math.max(0, total - bytes)))
end
return removed
