-- Make waiting batches due now, if they are not yet.
-- KEYS 1..n the due sets of the members    ARGV 1..n members    Returns those that wait.
local now, out = now_ms(), {}
for i, member in ipairs(ARGV) do
  local due = redis.call('ZSCORE', KEYS[i], member)
  if due then
    if tonumber(due) > now then redis.call('ZADD', KEYS[i], now, member) end
    out[#out + 1] = member
  end
end
return out
