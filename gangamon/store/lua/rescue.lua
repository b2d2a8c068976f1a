-- Take back the members of expired leases: they are due now.
-- KEYS 1 leases    ARGV 1 most claims  2 claim key prefix  3 slots key prefix  4 due key prefix
-- Returns the queues they went back to, one for each claim.
local now, queues = now_ms(), {}
for _, token in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local claim = ARGV[2] .. token
  local fields = redis.call('HGETALL', claim)
  local queue
  for i = 1, #fields, 2 do
    if fields[i] == 'q' then queue = fields[i + 1] end
  end
  if queue then
    for i = 1, #fields, 2 do
      if string.sub(fields[i], 1, 2) == 'm:' then
        redis.call('ZADD', ARGV[4] .. queue, now, string.sub(fields[i], 3))
      end
    end
    redis.call('ZREM', ARGV[3] .. queue, token)
    queues[#queues + 1] = queue
  end
  redis.call('DEL', claim)
  redis.call('ZREM', KEYS[1], token)
end
return queues
