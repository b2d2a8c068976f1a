-- Give a member back, due later or never.
-- KEYS 1 claim  2 leases  3 slots  4 due  5 tries  6 strikes
-- ARGV 1 token  2 member  3 wait, ms ('' = never)  4 why ('' = not to be told)
-- Returns how often in a row (0: dropped), or -1 (not our claim).
if redis.call('HEXISTS', KEYS[1], 'm:' .. ARGV[2]) == 0 then return -1 end
release(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[6], ARGV[2]) -- its worker lives
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[5], ARGV[2], 'why:' .. ARGV[2])
  return 0
end
redis.call('ZADD', KEYS[4], now_ms() + ARGV[3], ARGV[2])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[5], 'why:' .. ARGV[2], ARGV[4]) end
return redis.call('HINCRBY', KEYS[5], ARGV[2], 1)
