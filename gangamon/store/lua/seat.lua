-- Take a slot of a storage endpoint for a claim, in the place of the one it has; or give that back.
-- KEYS 1 claim  2 slots of the endpoint (of none: the claim again)
-- ARGV 1 token  2 slots ('0' = none is wanted)  3 lease, ms
-- Returns 1, 0 (no slot is free), or -1 (there is no such claim).
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
local now, old = now_ms(), redis.call('HGET', KEYS[1], 's')
if old and old ~= KEYS[2] then
  redis.call('ZREM', old, ARGV[1])
  redis.call('HDEL', KEYS[1], 's')
end
if ARGV[2] == '0' or old == KEYS[2] then return 1 end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 's', KEYS[2])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
return 1
