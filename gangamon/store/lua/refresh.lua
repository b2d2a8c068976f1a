-- Make the waiting batches of a master due now.
-- KEYS 1 master  2 due    ARGV 1 member prefix (O:R:M:)    Returns how many are due.
local now, count = now_ms(), 0
for number = 1, tonumber(redis.call('HGET', KEYS[1], 'b') or 0) do
  if redis.call('ZSCORE', KEYS[2], ARGV[1] .. number) then
    redis.call('ZADD', KEYS[2], now, ARGV[1] .. number)
    count = count + 1
  end
end
return count
