-- Remove questions, and note that. KEYS: questions, ends, log, state. ARGV: whose ('any', 'organization', 'team', 'key',
-- 'member'), the id of that, names. Returns how many there were.
local place = ({ any = 0, organization = 1, team = 2, key = 3, member = 4 })[ARGV[1]]
local gone = {}
for i = 3, #ARGV do
  local found = redis.call('HGET', KEYS[1], ARGV[i])
  if found then
    local writer = { string.match(found, '^%d+ (%S+) (%S+) (%S+) (%S+) ') }
    if place == 0 or writer[place] == ARGV[2] then
      gone[#gone + 1] = ARGV[i]
    end
  end
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
  redis.call('ZREM', KEYS[2], unpack(gone))
  note(KEYS[4], KEYS[3], '-', table.concat(gone, '\n'))
end
return #gone
