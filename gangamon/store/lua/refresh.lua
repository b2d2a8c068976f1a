-- Make the waiting batches of a master due now, some of them.
-- KEYS 1 master  2 due    ARGV 1 member prefix (O:R:M:)  2 first batch  3 most batches
-- Returns the number of the batch to go on with, or 0: that was all.
local now, first = now_ms(), tonumber(ARGV[2])
local last, past = tonumber(redis.call('HGET', KEYS[1], 'b') or 0), first + tonumber(ARGV[3])
for number = first, math.min(last, past - 1) do
  if redis.call('ZSCORE', KEYS[2], ARGV[1] .. number) then
    redis.call('ZADD', KEYS[2], now, ARGV[1] .. number)
  end
end
return past <= last and past or 0
