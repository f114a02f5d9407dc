-- What becomes of leads that are held here. KEYS: leases. ARGV: who holds them, then for each 'renew', 'drop' or
-- 'alone' (nobody is to wait for an answer that cannot be kept) and ms.
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    local what, ms = ARGV[2 * i], ARGV[2 * i + 1]
    if what == 'renew' then
      redis.call('PEXPIRE', key, ms)
    elseif what == 'alone' then
      redis.call('SET', key, 'alone', 'PX', ms)
    else
      redis.call('DEL', key)
    end
  end
end
return 1
