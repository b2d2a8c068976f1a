-- Set one job of a batch aside among the dead: no query names it until it is retried.
-- KEYS 1 claim  2 batch numbers of the master's jobs  3 dead
-- ARGV 1 member (the batch)  2 sub  3 number of the batch  4 name (O:R:M:SUB)  5 record (json)
-- Returns 1 | 0 (it is asked about elsewhere) | -1 (not our claim)
if redis.call('HEXISTS', KEYS[1], 'm:' .. ARGV[1]) == 0 then return -1 end
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], '')
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
return 1
