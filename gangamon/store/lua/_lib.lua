-- Shared by the verbs; put before each of them by the loader.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Drop one member from a claim; with its last one the claim, its lease and its slot go too.
local function release(claim, leases, slots, token, member)
  redis.call('HDEL', claim, 'm:' .. member)
  if redis.call('HINCRBY', claim, 'left', -1) <= 0 then
    redis.call('DEL', claim)
    redis.call('ZREM', leases, token)
    redis.call('ZREM', slots, token)
  end
end

-- Remember that a command was taken in; the newest 10,000 of an owner are kept.
local function taken(key, id)
  redis.call('ZADD', key, now_ms(), id)
  redis.call('ZREMRANGEBYRANK', key, 0, -10001)
end

-- Every subjob of an open master has ended: the merge becomes due, exactly once.
local function fan_in(master, member, due, queues, queue, now)
  local v = redis.call('HMGET', master, 'phase', 'total', 'n:completed', 'n:failed', 'n:killed',
    'attempt')
  local ended = (tonumber(v[3]) or 0) + (tonumber(v[4]) or 0) + (tonumber(v[5]) or 0)
  if v[1] ~= 'open' or ended < tonumber(v[2]) then return false end
  redis.call('HSET', master, 'phase', 'merge')
  redis.call('ZADD', due, now, member .. '@' .. v[6])
  redis.call('SADD', queues, queue)
  return true
end

-- Updates kept for sessions that are away; what is trimmed is read from the state instead.
local MAXLEN = 100000
