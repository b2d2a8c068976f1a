-- A slice of a merge while jobs run has ended: release its claim, and say when there is another.
-- KEYS 1 claim  2 leases  3 slots  4 due  5 strikes  6 master  7 grown
-- ARGV 1 token  2 member  3 ms until the next slice if it was woken since  4 ms until it in any
--      case ('' = none)  5 name (O:R:M)  6 ms until the next look if its merge is under way
--      7 how often it had been woken when the slice began
-- Returns the master's phase ('' = it is gone), or -1 (not our claim).
if redis.call('HEXISTS', KEYS[1], 'm:' .. ARGV[2]) == 0 then return -1 end
release(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[5], ARGV[2]) -- its worker lives
local v = redis.call('HMGET', KEYS[6], 'phase', 'grow')
local wait = ARGV[4]
if v[1] == 'open' then
  if wait == '' and (v[2] or '0') ~= ARGV[7] then wait = ARGV[3] end
  if wait == '' then redis.call('HDEL', KEYS[6], 'grow') end
elseif v[1] == 'merge' then
  wait = ARGV[6] -- whoever comes then removes what this one may have left behind it
else
  wait = ''
  redis.call('HDEL', KEYS[7], ARGV[5])
end
if wait ~= '' then redis.call('ZADD', KEYS[4], now_ms() + wait, ARGV[2]) end
return v[1] or ''
