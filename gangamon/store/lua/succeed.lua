-- A server that was a replica is the master now, and may lack what its master had acknowledged
-- last: a new epoch. It has all that came before, to the last write: jobs, counters, what is due.
-- What was claimed is due again, at once: its workers' tokens count no more.
-- KEYS 1 life  2 epoch  3 leases  4 repositories  5 owners
-- ARGV 1 the life that was found ('' = none)  2 the new one  3 the new epoch
--      4 claim key prefix  5 slots key prefix  6 due key prefix  7 updates key prefix
--      8 inbox key prefix  9 ms that the clocks of two servers may differ
-- Returns claims taken back, or -1: another was first.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return -1 end
local now, count = now_ms(), 0
for _, token in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local claim = ARGV[4] .. token
  local queue = redis.call('HGET', claim, 'q')
  if queue then
    local held = holding(claim)
    for i = 2, #held do
      redis.call('ZADD', due_key(ARGV[6], queue, held[i]), now, held[i])
    end
    dissolve(claim, KEYS[3], ARGV[5] .. queue, token)
    count = count + 1
  else
    redis.call('DEL', claim)
    redis.call('ZREM', KEYS[3], token)
  end
end
-- Readers ask for what came after the last entry that they have, which may be one that was lost:
-- new entries get ids after all that the old master can have given.
local function beyond(key)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if last then
    local wanted = now + ARGV[9]
    if tonumber(string.match(last[1], '^%d+')) < wanted then
      redis.call('XSETID', key, string.format('%.0f-0', wanted))
    end
  end
end
for _, name in ipairs(redis.call('SMEMBERS', KEYS[4])) do beyond(ARGV[7] .. name) end
for _, owner in ipairs(redis.call('SMEMBERS', KEYS[5])) do beyond(ARGV[8] .. owner) end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[2]) -- last: where this script fails, the next one does it all
return count
