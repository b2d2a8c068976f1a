-- Begin work on a claim. Each claim is begun once: a doubled message finds it begun.
-- KEYS 1 claim  2 leases    ARGV 1 token  2 worker  3 lease, ms  4 slots key prefix
-- Returns {queue, member ...}, or {} if the claim expired or was begun already.
if redis.call('HSETNX', KEYS[1], 'by', ARGV[2]) == 0 then return {} end
local fields = redis.call('HGETALL', KEYS[1])
local out, queue = {''}, nil
for i = 1, #fields, 2 do
  if fields[i] == 'q' then queue = fields[i + 1] end
  if string.sub(fields[i], 1, 2) == 'm:' then out[#out + 1] = string.sub(fields[i], 3) end
end
if not queue then
  redis.call('DEL', KEYS[1])
  return {}
end
local expiry = now_ms() + ARGV[3]
redis.call('ZADD', KEYS[2], 'XX', expiry, ARGV[1])
redis.call('ZADD', ARGV[4] .. queue, 'XX', expiry, ARGV[1])
out[1] = queue
return out
