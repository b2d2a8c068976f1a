-- Take due members of a stage's queue under a lease, if the queue has a free slot: fewer claims than
-- that wait for a worker.
-- KEYS 1 due  2 leases  3 slots  4 claim
-- ARGV 1 token  2 queue  3 most members  4 lease, ms  5 slots
-- Returns {jobs, member ...}, or {} if nothing is due or no slot is free. Asked again with the
-- same token (its answer was lost on the way): what it holds.
local held = holding(KEYS[4])
if held then return held end
local now = now_ms()
if redis.call('ZCOUNT', KEYS[3], now, '+inf') >= tonumber(ARGV[5]) then return {} end
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[3])
if #members == 0 then return {} end
redis.call('HSET', KEYS[4], 'q', ARGV[2], 'left', #members, 'jobs', #members)
for _, member in ipairs(members) do redis.call('HSET', KEYS[4], 'm:' .. member, 1) end
redis.call('ZREM', KEYS[1], unpack(members))
redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[3], now + ARGV[4], ARGV[1])
table.insert(members, 1, #members)
return members
