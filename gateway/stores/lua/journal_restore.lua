-- Make intents, holds and places of one instance what its memory says they are, and the balances doubtful.
-- KEYS: books, open, instances of the organization. ARGV: instance, how many intents, how many places, intents (attempt
-- id, entry, hold record or ''), places (request id, record), then attempts that are being admitted just now: theirs
-- stays as it is, and so do the places of their requests.
-- Nothing is deleted before all is written: a script that fails half way keeps what it did.
local instance, intents, count_places = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local holds, places = PREFIX .. 'holds:' .. instance, PREFIX .. 'places:' .. instance
local is_open, is_held, is_placed = {}, {}, {}
for i = 4, 3 + intents * 3, 3 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  is_open[ARGV[i]] = true
  if ARGV[i + 2] ~= '' then
    redis.call('HSET', holds, ARGV[i], ARGV[i + 2])
    is_held[ARGV[i]] = true
  end
end
local at = 4 + intents * 3
for i = at, at - 1 + count_places * 2, 2 do
  redis.call('HSET', places, ARGV[i], ARGV[i + 1])
  is_placed[ARGV[i]] = true
end
for i = at + count_places * 2, #ARGV do
  is_open[ARGV[i]], is_held[ARGV[i]], is_placed[ARGV[i]] = true, true, true
end
for key, is_kept in pairs({ [KEYS[2]] = is_open, [holds] = is_held, [places] = is_placed }) do
  for _, id in ipairs(redis.call('HKEYS', key)) do
    if not is_kept[id] then
      redis.call('HDEL', key, id)
    end
  end
end
redis.call('SADD', KEYS[3], instance)

redis.call('DEL', PREFIX .. 'parallel')
for _, one in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  for _, record in ipairs(redis.call('HVALS', PREFIX .. 'places:' .. one)) do
    local _, _, lines = place_of(record)
    for _, line in ipairs(lines) do
      if string.sub(line, 1, 1) == '1' then
        redis.call('HINCRBY', PREFIX .. 'parallel', string.sub(line, 4), 1)
      end
    end
  end
end
begin_generation(clock())
return 1
