-- Shared by the verbs; put before each of them by the loader.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Call ``f`` with the values of a list, no more at once than Lua's stack bears.
local function slices(list, f)
  for first = 1, #list, 1000 do f(unpack(list, first, math.min(first + 999, #list))) end
end

-- The sorted set a member waits in. Polls have one for each owner, for a ring to be fair over.
local function due_key(prefix, queue, member)
  if string.sub(queue, 1, 5) ~= 'poll.' then return prefix .. queue end
  return prefix .. queue .. ':' .. string.match(member, '^[^:]*')
end

-- End a claim: its lease, its slot in the queue, its slot at the endpoint.
local function dissolve(claim, leases, slots, token)
  local endpoint = redis.call('HGET', claim, 'e')
  if endpoint then redis.call('ZREM', endpoint, token) end
  redis.call('DEL', claim)
  redis.call('ZREM', leases, token)
  redis.call('ZREM', slots, token)
end

-- Drop one member from a claim; with its last one the claim ends.
local function release(claim, leases, slots, token, member)
  redis.call('HDEL', claim, 'm:' .. member)
  if redis.call('HINCRBY', claim, 'left', -1) <= 0 then dissolve(claim, leases, slots, token) end
end

-- Extend a claim that is being worked on. A query keeps its slots. Those of a stage bound what waits
-- for a worker, and this one waits no more: however many workers there are, each finds the next.
local function extend(claim, leases, slots, token, expiry)
  redis.call('ZADD', leases, 'XX', expiry, token)
  local endpoint = redis.call('HGET', claim, 'e')
  redis.call('ZADD', slots, 'XX', endpoint and expiry or 0, token)
  if endpoint then redis.call('ZADD', endpoint, 'XX', expiry, token) end
end

-- What a claim holds, as its first answer: {jobs, member ...}; nil if there is no such claim.
local function holding(claim)
  local fields = redis.call('HGETALL', claim)
  if #fields == 0 then return nil end
  local out = {0}
  for i = 1, #fields, 2 do
    if fields[i] == 'jobs' then out[1] = tonumber(fields[i + 1]) end
    if string.sub(fields[i], 1, 2) == 'm:' then out[#out + 1] = string.sub(fields[i], 3) end
  end
  return out
end

-- Whether a lane may be asked now. ``slots``, ``most``: its own and the endpoint's, keys and counts.
-- Returns ms until it may (0: now; -1: not before a query ends or it is resumed; -2: not before one
-- of another lane of its endpoint ends), and the budget's tokens (nil: it has no budget).
local function may_ask(now, lane, slots, most, budget, rate, size)
  local busy = redis.call('ZCOUNT', slots[1], now, '+inf')
  local v = redis.call('HMGET', lane, 'paused', 'probe_at', 'open_until')
  local rests = 0
  if v[1] and v[1] ~= '' then
    -- Paused: by its owner until resumed; for its credential but for one probe now and then.
    if not v[2] or v[2] == '' then return -1 end
    rests = tonumber(v[2]) - now
  end
  local breaker = v[3] and v[3] ~= ''
  if breaker then rests = math.max(rests, tonumber(v[3]) - now) end -- then one probe
  if rests > 0 then return rests end
  if (breaker or (v[1] and v[1] ~= '')) and busy > 0 then return -1 end
  if busy >= most[1] then return -1 end
  if redis.call('ZCOUNT', slots[2], now, '+inf') >= most[2] then return -2 end
  if rate <= 0 then return 0 end
  local b = redis.call('HMGET', budget, 'tokens', 'at')
  local tokens = (tonumber(b[1]) or size) + rate * (now - (tonumber(b[2]) or now)) / 1000
  tokens = math.min(size, tokens)
  if tokens < 1 then return math.ceil((1 - tokens) / rate * 1000) end
  return 0, tokens
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

-- More of an open master can be merged while its jobs run: one member, however often it is woken.
-- Field grow of the master: how often it was, since it waits or is worked on.
local function wake(master, due, name, queues, queue, at)
  if redis.call('HGET', master, 'phase') ~= 'open' then return end
  if redis.call('HINCRBY', master, 'grow', 1) > 1 then return end
  redis.call('ZADD', due, at, name .. '@0')
  redis.call('SADD', queues, queue)
end

-- Its merge is due now, and does the rest.
local function calm(master, due, name)
  redis.call('HDEL', master, 'grow')
  redis.call('ZREM', due, name .. '@0')
end

-- Statuses that jobs are counted by.
local STATUSES = {'submitting', 'submitted', 'running', 'completing', 'completed', 'failed', 'killed'}

-- Count a master's jobs among those of its lane (``sign`` 1), or no more (-1).
local function count_jobs(counted, master, sign)
  local fields = {'lane'}
  for i, status in ipairs(STATUSES) do fields[i + 1] = 'n:' .. status end
  local v = redis.call('HMGET', master, unpack(fields))
  for i, status in ipairs(STATUSES) do
    local n = tonumber(v[i + 1] or 0)
    if n ~= 0 then
      redis.call('HINCRBY', counted, 'jobs:' .. v[1] .. ':' .. status, sign * n)
    end
  end
end

-- Forget a master job: its record, its jobs, its batches, what of it is dead. Leases on it end with
-- a commit that finds it gone. ``keys``: master, spec, batch, state, facts.
local function forget(keys, masters, due, dead, ended, counted, id, prefix, batches)
  count_jobs(counted, keys[1], -1)
  for number = 1, tonumber(redis.call('HGET', keys[1], 'b') or 0) do
    redis.call('DEL', batches .. number)
    redis.call('ZREM', due, prefix .. number)
  end
  redis.call('UNLINK', unpack(keys)) -- hashes of tens of thousands are freed aside
  redis.call('SREM', masters, id)
  local name = string.sub(prefix, 1, -2)
  redis.call('ZREM', ended, name)
  for _, letter in ipairs(redis.call('HKEYS', dead)) do
    local head = string.sub(letter, 1, #prefix)
    if head == prefix or head == name .. '@' then redis.call('HDEL', dead, letter) end
  end
end

-- Updates kept for sessions that are away, of up to 100 jobs each (some 90 bytes a job); what is
-- trimmed is read from the state instead.
local MAXLEN = 100000
