-- What is held now, by balance. KEYS: books, instances of the organization. Returns {name, amount, ...}.
-- From the holds themselves: they are right also while a balance is not known.
local held, reply = {}, {}
for _, instance in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  for _, record in ipairs(redis.call('HVALS', PREFIX .. 'holds:' .. instance)) do
    local amount, names = held_by(record)
    for _, name in ipairs(names) do
      held[name] = (held[name] or 0) + tonumber(amount)
    end
  end
end
for name, amount in pairs(held) do
  reply[#reply + 1] = name
  reply[#reply + 1] = string.format('%.0f', amount)
end
return reply
