-- What the scripts of kept questions share: the log by which replicas follow what becomes of them.

-- Note one change in the log: '+' and a name, or '-' and names between line breaks. One that is lost begins anew under
-- another run; who followed the one before then reads all.
local function note(state, log, what, names)
  if redis.call('HEXISTS', state, 'run') == 0 then
    redis.call('DEL', log)
    redis.call('HSET', state, 'run', now_us())
  end
  local count = string.format('%.0f', redis.call('HINCRBY', state, 'count', 1))
  redis.call('XADD', log, 'MAXLEN', '~', 4096, count .. '-0', what, names)
end
