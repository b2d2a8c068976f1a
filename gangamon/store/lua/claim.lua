-- Take due members of a queue under a lease, if the queue has a free slot.
-- KEYS 1 due  2 leases  3 slots  4 claim
-- ARGV 1 token  2 queue  3 most members  4 lease, ms  5 slots  6 batch key prefix ('' = members
--      are single jobs)
-- Returns {jobs, member ...}, or {} if nothing is due or no slot is free. Asked again with the
-- same token (its answer was lost on the way): what it holds.
local now = now_ms()
local held = redis.call('HGETALL', KEYS[4])
if #held > 0 then
  local out = {0}
  for i = 1, #held, 2 do
    if held[i] == 'jobs' then out[1] = tonumber(held[i + 1]) end
    if string.sub(held[i], 1, 2) == 'm:' then out[#out + 1] = string.sub(held[i], 3) end
  end
  return out
end
if redis.call('ZCOUNT', KEYS[3], now, '+inf') >= tonumber(ARGV[5]) then return {} end
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[3])
if #members == 0 then return {} end
local jobs = 0
redis.call('HSET', KEYS[4], 'q', ARGV[2], 'left', #members)
for _, member in ipairs(members) do
  redis.call('HSET', KEYS[4], 'm:' .. member, 1)
  if ARGV[6] == '' then
    jobs = jobs + 1
  else
    jobs = jobs + (tonumber(redis.call('HGET', ARGV[6] .. member, 'n')) or 0)
  end
end
redis.call('HSET', KEYS[4], 'jobs', jobs)
redis.call('ZREM', KEYS[1], unpack(members))
redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[3], now + ARGV[4], ARGV[1])
table.insert(members, 1, jobs)
return members
