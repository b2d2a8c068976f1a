-- Count queries of a lane, by minute. Its claim has paid for one: the budget pays for the others, or
-- has it back where none was made.
-- KEYS 1 calls  2 budget  3 counted
-- ARGV 1 queries  2 seconds they took  3 seconds of the slowest  4 minutes kept
--      5 lane
-- Returns the minute since the epoch.
local minute = math.floor(now_ms() / 60000)
local field = string.format('%d', minute)
if redis.call('HEXISTS', KEYS[1], field) == 0 then
  for _, old in ipairs(redis.call('HKEYS', KEYS[1])) do
    if tonumber(string.match(old, '%d+$')) <= minute - ARGV[4] then
      redis.call('HDEL', KEYS[1], old)
    end
  end
end
redis.call('HINCRBY', KEYS[1], field, ARGV[1])
redis.call('HINCRBYFLOAT', KEYS[1], 's:' .. field, ARGV[2])
redis.call('HINCRBY', KEYS[3], 'queries:' .. ARGV[5], ARGV[1])
redis.call('HINCRBYFLOAT', KEYS[3], 'query_seconds:' .. ARGV[5], ARGV[2])
if tonumber(ARGV[3]) > tonumber(redis.call('HGET', KEYS[1], 'm:' .. field) or 0) then
  redis.call('HSET', KEYS[1], 'm:' .. field, ARGV[3])
end
if tonumber(ARGV[1]) ~= 1 and redis.call('HEXISTS', KEYS[2], 'tokens') == 1 then
  redis.call('HINCRBYFLOAT', KEYS[2], 'tokens', 1 - ARGV[1])
end
return minute
