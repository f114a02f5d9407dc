-- A request has ended without a last settlement: give its places back. KEYS: books. ARGV: request id, instance.
local places = PREFIX .. 'places:' .. ARGV[2]
local place = redis.call('HGET', places, ARGV[1])
if place then
  local second, tokens, lines = place_of(place)
  true_up(lines, second, -tokens, clock())
  give_back(lines)
  redis.call('HDEL', places, ARGV[1])
end
return 1
