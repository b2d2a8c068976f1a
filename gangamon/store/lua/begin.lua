-- Begin work on a claim. Each claim is begun once: a doubled message finds it begun.
-- KEYS 1 claim  2 leases    ARGV 1 token  2 worker  3 lease, ms  4 slots key prefix
-- Returns {queue, member ...}, or {} if the claim expired or was begun already.
if redis.call('HSETNX', KEYS[1], 'by', ARGV[2]) == 0 then return {} end
local queue = redis.call('HGET', KEYS[1], 'q')
if not queue then
  redis.call('DEL', KEYS[1])
  return {}
end
extend(KEYS[1], KEYS[2], ARGV[4] .. queue, ARGV[1], now_ms() + ARGV[3])
local out = holding(KEYS[1])
out[1] = queue
return out
