-- End a lane's pause and its breaker: all that waits in it is due now.
-- KEYS 1 lane  2 ring
-- ARGV 1 due key prefix, with the queue and ':'  2 '1': only a pause that has probes
--      3 most batches to make due
-- Returns 1 if more of it is to be made due first (call again), else 0: ended, or left as it is
-- because its owner paused it.
if ARGV[2] == '1' then
  local v = redis.call('HMGET', KEYS[1], 'paused', 'probe_at')
  if v[1] and v[1] ~= '' and (not v[2] or v[2] == '') then return 0 end
end
local now, left = now_ms(), tonumber(ARGV[3])
for _, owner in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local due = ARGV[1] .. owner
  local later = redis.call('ZRANGEBYSCORE', due, '(' .. now, '+inf', 'LIMIT', 0, left + 1)
  for i = 1, math.min(left, #later) do redis.call('ZADD', due, now, later[i]) end
  if #later > left then return 1 end
  left = left - #later
end
redis.call('HDEL', KEYS[1], 'paused', 'probe_at', 'open_until', 'failures')
return 0
