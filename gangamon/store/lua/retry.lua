-- Take one entry back from the dead: it is due now.
-- KEYS 1 dead  2 due  3 strikes  4 tries  5 master  6 batch numbers of the master's jobs
-- ARGV 1 name  2 sub ('' = a stage: its member is the name)  3 member prefix (O:R:M:)
--      4 batch key prefix
-- Returns 1, or 0 if it is not there, or its master has gone.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call('EXISTS', KEYS[5]) == 0 then return 0 end
local member = ARGV[1]
if ARGV[2] ~= '' then
  local number = redis.call('HINCRBY', KEYS[5], 'b', 1)
  member = ARGV[3] .. number
  redis.call('HSET', ARGV[4] .. member, 'n', 1, 'subs', cjson.encode({ARGV[2]}))
  redis.call('HSET', KEYS[6], ARGV[2], number)
end
redis.call('HDEL', KEYS[3], member)
redis.call('HDEL', KEYS[4], member, 'why:' .. member)
redis.call('ZADD', KEYS[2], now_ms(), member)
return 1
