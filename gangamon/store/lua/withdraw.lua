-- Forget a master job because its owner took it back.
-- KEYS 1 master  2 spec  3 batch  4 state  5 facts  6 masters  7 due  8 taken  9 dead  10 ended
--      11 grown  12 due grow  13 queues  14 counted
-- ARGV 1 master id  2 member prefix (O:R:M:)  3 batch key prefix  4 command id  5 grow queue
-- Returns 1, or 0 if it was not known, or this command was taken in before.
if redis.call('ZSCORE', KEYS[8], ARGV[4]) then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
forget({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]}, KEYS[6], KEYS[7], KEYS[9], KEYS[10], KEYS[14],
  ARGV[1], ARGV[2], ARGV[3])
taken(KEYS[8], ARGV[4])
local name = string.sub(ARGV[2], 1, -2)
if redis.call('HEXISTS', KEYS[11], name) == 1 then -- what is half merged is to be removed
  redis.call('ZADD', KEYS[12], now_ms(), name .. '@0')
  redis.call('SADD', KEYS[13], ARGV[5])
end
return 1
