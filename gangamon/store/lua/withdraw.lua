-- Forget a master job. Leases on it end with a commit that finds it gone.
-- KEYS 1 master  2 spec  3 batch  4 state  5 facts  6 masters  7 due  8 taken
-- ARGV 1 master id  2 member prefix (O:R:M:)  3 batch key prefix  4 command id
-- Returns 1, or 0 if it was not known, or this command was taken in before.
if redis.call('ZSCORE', KEYS[8], ARGV[4]) then return 0 end
local count = redis.call('HGET', KEYS[1], 'b')
if not count then return 0 end
for number = 1, tonumber(count) do
  redis.call('DEL', ARGV[3] .. number)
  redis.call('ZREM', KEYS[7], ARGV[2] .. number)
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
taken(KEYS[8], ARGV[4])
redis.call('SREM', KEYS[6], ARGV[1])
return 1
