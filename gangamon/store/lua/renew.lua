-- Renew the leases of claims that are being worked on.
-- KEYS 1 leases    ARGV 1 lease, ms  2 claim key prefix  3 slots key prefix  4... tokens
-- Returns how many still live.
local expiry, count = now_ms() + ARGV[1], 0
for i = 4, #ARGV do
  local queue = redis.call('HGET', ARGV[2] .. ARGV[i], 'q')
  if queue then
    extend(ARGV[2] .. ARGV[i], KEYS[1], ARGV[3] .. queue, ARGV[i], expiry)
    count = count + 1
  end
end
return count
