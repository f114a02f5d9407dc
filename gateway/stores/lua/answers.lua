-- What the scripts of kept answers share. All keys of one tenant are in one slot of a cluster.

local function now_us()
  local time = redis.call('TIME')
  return string.format('%s%06d', time[1], time[2])
end

-- What answers of that key (and its member, '' for none) of that organization's team are kept under: whoever purges
-- changes it. One of an organization or a team that is lost is made anew and is like none before, so that nothing that
-- was purged comes back; keys and members have one once they were purged.
local function epoch_of(key, organization, team, writer, member)
  local names = { 'organization:' .. organization, 'team:' .. team, 'key:' .. writer, 'member:' .. member }
  local found = redis.call('HMGET', key, unpack(names))
  for i = 1, 2 do
    if not found[i] then
      found[i] = now_us()
      redis.call('HSET', key, names[i], found[i])
    end
  end
  return found[1] .. ':' .. found[2] .. ':' .. (found[3] or '') .. ':' .. (found[4] or '')
end
