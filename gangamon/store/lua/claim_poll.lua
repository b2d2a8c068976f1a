-- Take due batches of a lane under a lease: one query. Fair over owners, polite to the backend.
-- KEYS 1 ring (owner -> when last served)  2 leases  3 slots  4 claim  5 slots of the endpoint
--      6 budget of the lane  7 lane
-- ARGV 1 token  2 queue  3 most batches  4 lease, ms  5 slots  6 batch key prefix
--      7 due key prefix, with the queue and ':'  8 slots of the endpoint
--      9 queries a second ('0' = no budget)  10 queries at once that a full budget bears
-- Returns {jobs, member ...}, or {} if nothing is due or may be asked now. Asked again with the
-- same token (its answer was lost on the way): what it holds.
local held = holding(KEYS[4])
if held then return held end
local now = now_ms()
local rate = tonumber(ARGV[9])
local wait, tokens = may_ask(now, KEYS[7], {KEYS[3], KEYS[5]}, {tonumber(ARGV[5]), tonumber(ARGV[8])},
  KEYS[6], rate, tonumber(ARGV[10]))
if wait ~= 0 then return {} end
-- One batch of each owner in turn, those first who were served longest ago.
local most, waiting, members, all = tonumber(ARGV[3]), {}, {}, 0
for _, owner in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local due = redis.call('ZRANGEBYSCORE', ARGV[7] .. owner, '-inf', now, 'LIMIT', 0, most)
  all = all + redis.call('ZCARD', ARGV[7] .. owner)
  if #due > 0 then waiting[#waiting + 1] = {owner, due} end
end
if #waiting == 0 then return {} end
local turn = redis.call('HINCRBY', KEYS[7], 'turn', 1)
redis.call('HSET', KEYS[7], 'batches', all)
for round = 1, most do
  for _, w in ipairs(waiting) do
    if #members < most and w[2][round] then
      members[#members + 1] = w[2][round]
      redis.call('ZREM', ARGV[7] .. w[1], w[2][round])
      redis.call('ZADD', KEYS[1], turn, w[1])
    end
  end
  if #members >= most then break end
end
local jobs = 0
for _, member in ipairs(members) do
  redis.call('HSET', KEYS[4], 'm:' .. member, 1)
  jobs = jobs + (tonumber(redis.call('HGET', ARGV[6] .. member, 'n')) or 0)
end
redis.call('HSET', KEYS[4], 'q', ARGV[2], 'left', #members, 'jobs', jobs, 'e', KEYS[5])
redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[3], now + ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[5], now + ARGV[4], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
if rate > 0 then
  redis.call('HSET', KEYS[6], 'tokens', tostring(tokens - 1), 'at', now, 'rate', ARGV[9], 'burst',
    ARGV[10])
else
  redis.call('DEL', KEYS[6])
end
table.insert(members, 1, jobs)
return members
