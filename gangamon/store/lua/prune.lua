-- Forget a master job that ended long ago.
-- KEYS 1 master  2 spec  3 batch  4 state  5 facts  6 masters  7 due  8 dead  9 ended
--      10 counted
-- ARGV 1 master id  2 member prefix (O:R:M:)  3 batch key prefix  4 kept for, ms
-- Returns 1, or 0 if it is not there, was opened again, or ended later than that.
local v = redis.call('HMGET', KEYS[1], 'phase', 'ended')
if v[1] ~= 'done' then
  redis.call('ZREM', KEYS[9], string.sub(ARGV[2], 1, -2)) -- put in again when it ends
  return 0
end
if not v[2] or tonumber(v[2]) > now_ms() - ARGV[4] then return 0 end
forget({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]}, KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10],
  ARGV[1], ARGV[2], ARGV[3])
return 1
