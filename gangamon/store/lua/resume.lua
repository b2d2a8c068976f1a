-- End a lane's pause and its breaker: all that waits in it is due now.
-- KEYS 1 lane  2 ring
-- ARGV 1 due key prefix, with the queue and ':'  2 '1': only a pause that has probes
-- Returns 1, or 0 if it was its owner who paused it.
if ARGV[2] == '1' then
  local v = redis.call('HMGET', KEYS[1], 'paused', 'probe_at')
  if v[1] and v[1] ~= '' and (not v[2] or v[2] == '') then return 0 end
end
redis.call('HDEL', KEYS[1], 'paused', 'probe_at', 'open_until', 'failures')
local now = now_ms()
for _, owner in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local due = ARGV[1] .. owner
  for _, member in ipairs(redis.call('ZRANGE', due, 0, -1)) do
    redis.call('ZADD', due, 'LT', now, member)
  end
end
return 1
