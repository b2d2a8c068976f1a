-- Take in one enqueue command: all of its jobs or none.
-- KEYS 1 inbox  2 updates  3 master  4 spec  5 batch  6 state  7 facts  8 masters  9 due
--      10 queues  11 taken  12 ring  13 dead  14 counted
-- ARGV 1 inbox entry ('' = from the journal)  2 command id  3 master id  4 member prefix (O:R:M:)
--      5 batch key prefix  6 queue  7 epoch  8 number of master fields, then field, value ...,
--      then per job: sub, attempt, status, state, spec, facts
-- Returns {'ok', jobs taken} | {'gone'} (another tick took it) | {'conflict', sub, stored spec}
--      | {'otherwise'}: the master is known with another 'observe'
local function answer()
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', MAXLEN, '*', 'k', 'a', 'e', ARGV[7], 't', now_ms(),
    'id', ARGV[2], 'why', '')
  if ARGV[1] ~= '' then redis.call('XDEL', KEYS[1], ARGV[1]) end
end
local first = 9 + 2 * tonumber(ARGV[8])
if ARGV[1] ~= '' and #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return {'gone'}
end
if redis.call('ZSCORE', KEYS[11], ARGV[2]) then
  answer()  -- sent again: what it was about may have been withdrawn since
  return {'ok', 0}
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  for i = 9, first - 1, 2 do
    if ARGV[i] == 'observe' and (redis.call('HGET', KEYS[3], 'observe') or '') ~= ARGV[i + 1] then
      return {'otherwise'}
    end
  end
end
local known = {}
for i = first, #ARGV, 6 do
  local current = redis.call('HGET', KEYS[6], ARGV[i])
  if current then
    local attempt = tonumber(string.sub(current, 1, 5))
    known[ARGV[i]] = attempt
    if attempt == tonumber(ARGV[i + 1]) then
      local stored = redis.call('HGET', KEYS[4], ARGV[i])
      if stored ~= ARGV[i + 4] then return {'conflict', ARGV[i], stored} end
    end
  end
end
local now = now_ms()
if redis.call('EXISTS', KEYS[3]) == 1 then
  count_jobs(KEYS[14], KEYS[3], -1) -- they may change lanes
else
  redis.call('HSET', KEYS[3], 'attempt', 1, 'phase', 'open', 'status', '', 'b', 0)
end
for i = 9, first - 1, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
local subs = {}
local number = redis.call('HINCRBY', KEYS[3], 'b', 1)
for i = first, #ARGV, 6 do
  local sub, attempt = ARGV[i], tonumber(ARGV[i + 1])
  if not known[sub] or known[sub] < attempt then
    local current = redis.call('HGET', KEYS[6], sub)
    if current then redis.call('HINCRBY', KEYS[3], 'n:' .. string.sub(current, 14), -1) end
    redis.call('HINCRBY', KEYS[3], 'n:' .. ARGV[i + 2], 1)
    redis.call('HSET', KEYS[6], sub, ARGV[i + 3])
    redis.call('HSET', KEYS[4], sub, ARGV[i + 4])
    redis.call('HSET', KEYS[7], sub, ARGV[i + 5])
    redis.call('HSET', KEYS[5], sub, number)
    subs[#subs + 1] = sub
  end
end
if #subs > 0 then
  if redis.call('HGET', KEYS[3], 'phase') ~= 'open' then
    -- Resubmitted after it had ended: a new attempt of the master, merged anew.
    redis.call('HINCRBY', KEYS[3], 'attempt', 1)
    redis.call('HSET', KEYS[3], 'phase', 'open', 'status', '')
    redis.call('HDEL', KEYS[3], 'r:merge', 'r:check', 'r:notify')
  end
  redis.call('HSET', ARGV[5] .. number, 'n', #subs, 'subs', cjson.encode(subs))
  redis.call('SADD', KEYS[8], ARGV[3])
  redis.call('ZADD', KEYS[9], now, ARGV[4] .. number)
  redis.call('SADD', KEYS[10], ARGV[6])
  redis.call('ZADD', KEYS[12], 'NX', 0, string.match(ARGV[4], '^[^:]*'))
  for _, sub in ipairs(subs) do redis.call('HDEL', KEYS[13], ARGV[4] .. sub) end
else
  redis.call('HINCRBY', KEYS[3], 'b', -1)
end
count_jobs(KEYS[14], KEYS[3], 1)
if #subs > 0 then
  redis.call('HINCRBY', KEYS[14], 'taken:' .. string.sub(ARGV[6], 6), #subs)
end
taken(KEYS[11], ARGV[2])
answer()
return {'ok', #subs}
