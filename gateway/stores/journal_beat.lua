-- The heartbeat of an instance, by the time of Redis. KEYS: instances. ARGV: instance.
-- Returns 1 when nobody knew the instance: its first beat, or Redis lost it, or it was swept as dead.
local now = redis.call('TIME')
return redis.call('HSET', KEYS[1], ARGV[1], string.format('%d%03d', now[1], math.floor(now[2] / 1000)))
