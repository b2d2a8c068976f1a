-- A claim's queries have been answered: its slots are for others, while its commits go on under its
-- lease. A probe keeps them: whether there may be another query depends on what it commits.
-- KEYS 1 claim  2 slots  3 lane    ARGV 1 token
-- Returns 1, or 0 if they are kept.
local v = redis.call('HMGET', KEYS[3], 'paused', 'open_until')
if (v[1] and v[1] ~= '') or (v[2] and v[2] ~= '') then return 0 end
local endpoint = redis.call('HGET', KEYS[1], 'e')
if endpoint then redis.call('ZREM', endpoint, ARGV[1]) end
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
