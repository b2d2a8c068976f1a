-- Take back the members of expired leases: they are due now. One whose lease has expired
-- ARGV 6 times in a row in the hands of a worker kills or hangs its workers: a batch is split in
-- two, a single job or stage is set aside among the dead. A claim that nobody has begun says
-- nothing about its members: no worker ran, or the message was lost.
-- KEYS 1 leases  2 dead  3 counted
-- ARGV 1 most claims  2 claim key prefix  3 slots key prefix  4 due key prefix  5 strikes key prefix
--      6 strikes  7 batch key prefix  8 master key prefix  9 budget key prefix
-- Returns queue, member, what ('back', 'split', 'dead') of each.
local now, out = now_ms(), {}

local function split(queue, member, subs)
  local master = ARGV[8] .. string.match(member, '^(.*):[^:]*$')
  for half = 0, 1 do
    local part = {}
    for i, sub in ipairs(subs) do
      if (i > #subs / 2) == (half == 1) then part[#part + 1] = sub end
    end
    local number = redis.call('HINCRBY', master, 'b', 1)
    local name = string.match(member, '^(.*:)[^:]*$') .. number
    redis.call('HSET', ARGV[7] .. name, 'n', #part, 'subs', cjson.encode(part))
    for _, sub in ipairs(part) do redis.call('HSET', master .. ':batch', sub, number) end
    redis.call('ZADD', due_key(ARGV[4], queue, member), now, name)
  end
  redis.call('DEL', ARGV[7] .. member)
end

local function bury(queue, member, subs)
  local name = member
  if subs then
    local master = ARGV[8] .. string.match(member, '^(.*):[^:]*$')
    name = string.match(member, '^(.*:)[^:]*$') .. subs[1]
    redis.call('HSET', master .. ':batch', subs[1], '')
    redis.call('DEL', ARGV[7] .. member)
  end
  redis.call('HSET', KEYS[2], name, cjson.encode({queue = queue, at = now / 1000,
    reason = 'its lease expired ' .. ARGV[6] .. ' times: it kills or hangs its worker'}))
end

local function back(queue, member, begun)
  local strikes = begun and redis.call('HINCRBY', ARGV[5] .. queue, member, 1) or 0
  if strikes < tonumber(ARGV[6]) then
    redis.call('ZADD', due_key(ARGV[4], queue, member), now, member)
    return 'back'
  end
  redis.call('HDEL', ARGV[5] .. queue, member)
  local subs = nil
  if string.sub(queue, 1, 5) == 'poll.' then
    local text = redis.call('HGET', ARGV[7] .. member, 'subs')
    if not text then return 'gone' end
    -- Only those that are still asked about in this batch.
    local master = ARGV[8] .. string.match(member, '^(.*):[^:]*$')
    local number = string.match(member, '[^:]*$')
    subs = {}
    for _, sub in ipairs(cjson.decode(text)) do
      if redis.call('HGET', master .. ':batch', sub) == number then subs[#subs + 1] = sub end
    end
    if #subs == 0 then return 'gone' end
    if #subs > 1 then
      split(queue, member, subs)
      return 'split'
    end
  end
  bury(queue, member, subs)
  return 'dead'
end

for _, token in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local claim = ARGV[2] .. token
  local fields = redis.call('HGETALL', claim)
  local queue, begun
  for i = 1, #fields, 2 do
    if fields[i] == 'q' then queue = fields[i + 1] end
    if fields[i] == 'by' then begun = true end
  end
  if queue then
    local budget = ARGV[9] .. string.sub(queue, 6)
    if not begun and redis.call('HEXISTS', budget, 'tokens') == 1 then
      redis.call('HINCRBYFLOAT', budget, 'tokens', 1) -- paid for a query that nobody made
    end
    for i = 1, #fields, 2 do
      if string.sub(fields[i], 1, 2) == 'm:' then
        local member = string.sub(fields[i], 3)
        out[#out + 1] = queue
        out[#out + 1] = member
        out[#out + 1] = back(queue, member, begun)
        redis.call('HINCRBY', KEYS[3], 'rescued:' .. out[#out], 1)
      end
    end
    dissolve(claim, KEYS[1], ARGV[3] .. queue, token)
  else
    redis.call('DEL', claim)
    redis.call('ZREM', KEYS[1], token)
  end
end
return out
