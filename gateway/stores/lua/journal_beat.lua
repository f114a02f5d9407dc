-- The heartbeat of an instance, by the time of Redis. KEYS: instances. ARGV: instance.
-- Returns 1 when nobody knew the instance (its first beat, or Redis lost it, or it was swept as dead), and the time in
-- microseconds.
local now = redis.call('TIME')
local beat = string.format('%d%03d', now[1], math.floor(now[2] / 1000))
return { redis.call('HSET', KEYS[1], ARGV[1], beat), string.format('%d%06d', now[1], now[2]) }
