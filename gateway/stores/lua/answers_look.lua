-- Look for an answer, and take the lead in asking for it where it is not there and nobody else has.
-- KEYS: answer, lease, epochs. ARGV: organization, team, key and member that ask, who leads, lease in ms (0: take none),
-- the most age in ms (-1: any; -2: do not read), the epoch that it was asked under ('': the one of now). What was asked
-- under one that has been purged is not kept, so that nobody is to wait for it.
-- Returns {'hit', age in ms, answer} | {'lead', epoch} | {'wait', epoch} | {'miss', epoch} (nobody leads)
--      or {'alone', epoch}: answers to this cannot be kept, so that nobody waits for one.
local most_ms, lease_ms = tonumber(ARGV[7]), tonumber(ARGV[6])
if most_ms ~= -2 then
  local found = redis.call('HMGET', KEYS[1], 'answer', 'epoch', 'organization', 'team', 'at', 'key', 'member')
  if found[1] then
    local age_ms = math.max(0, tonumber(string.sub(now_us(), 1, -4)) - tonumber(found[5]))
    if found[2] ~= epoch_of(KEYS[3], found[3], found[4], found[6] or '', found[7] or '') then
      redis.call('DEL', KEYS[1])
    elseif most_ms == -1 or age_ms <= most_ms then
      return { 'hit', age_ms, found[1] }
    end
  end
end
local epoch = epoch_of(KEYS[3], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
local leader = redis.call('GET', KEYS[2])
if leader == 'alone' then
  return { 'alone', epoch }
end
if leader then
  return { 'wait', epoch }
end
if lease_ms == 0 or (ARGV[8] ~= '' and ARGV[8] ~= epoch) then
  return { 'miss', epoch }
end
redis.call('SET', KEYS[2], ARGV[5], 'PX', lease_ms)
return { 'lead', epoch }
