-- When something of a lane may be claimed: the next due time, and what the lane bears.
-- One that waits for a slot of its endpoint is noted: whoever frees one pushes it.
-- KEYS 1 ring  2 slots  3 slots of the endpoint  4 budget of the lane  5 lane  6 who waits for a slot
-- ARGV 1 due key prefix, with the queue and ':'  2 slots  3 slots of the endpoint
--      4 queries a second ('0' = no budget)  5 queries at once that a full budget bears  6 queue
-- Returns ms from now, or -1: nothing waits, or a query must end or the lane be resumed first.
local now, first = now_ms(), nil
for _, owner in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local due = redis.call('ZRANGE', ARGV[1] .. owner, 0, 0, 'WITHSCORES')[2]
  if due and (not first or tonumber(due) < first) then first = tonumber(due) end
end
if not first then return -1 end
local wait = may_ask(now, KEYS[5], {KEYS[2], KEYS[3]}, {tonumber(ARGV[2]), tonumber(ARGV[3])},
  KEYS[4], tonumber(ARGV[4]), tonumber(ARGV[5]))
if wait == -2 and first <= now then redis.call('ZADD', KEYS[6], 'NX', now, ARGV[6]) end
if wait < 0 then return -1 end
return math.ceil(math.max(wait, first - now, 0))
