-- Pause a lane: nothing is asked until it is resumed, or but for one probe now and then.
-- KEYS 1 lane    ARGV 1 why  2 ms until the first probe ('' = none: an owner's pause)
-- Returns 1, or 0 if its owner has paused it already and this is not their word.
local v = redis.call('HMGET', KEYS[1], 'paused', 'probe_at')
local by_owner = v[1] and v[1] ~= '' and (not v[2] or v[2] == '')
local probe = ARGV[2]
if probe ~= '' then
  if by_owner then return 0 end
  probe = string.format('%d', now_ms() + probe)
end
redis.call('HSET', KEYS[1], 'paused', ARGV[1], 'probe_at', probe)
return 1
