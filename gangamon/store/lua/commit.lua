-- Apply the steps of one master's jobs and release one member of a claim.
-- KEYS 1 claim  2 leases  3 slots  4 due  5 tries  6 master  7 state  8 facts  9 updates
--      10 due fetch  11 due merge  12 queues  13 strikes  14 batch ('' = a fetch)
--      15 dead  16 epoch  17 due grow  18 counted
-- ARGV 1 token  2 member  3 next due in ms ('' = never)  4 on the grid of that interval, shifted by
--      this part of it ('' = now and the interval)
--      5 master id  6 master member (O:R:M)  7 fetch queue  8 merge queue  9 grow queue
--      10 ms until the merge while jobs run is woken ('' = it is not)  11 files and  12 bytes that
--      were brought, then per job: sub, expected state, new state ('' = only facts), facts, update,
--      attempt to be fetched ('' = none)
-- The owner's own word has no claim: KEYS 1 the commands taken in, ARGV 1 '', 2 the command's id.
-- Returns {applied, refused, fetches due, merge due} | {-1} (not our claim) | {-2} (master gone)
local held = ARGV[1] ~= ''
if held and redis.call('HEXISTS', KEYS[1], 'm:' .. ARGV[2]) == 0 then return {-1} end
if not held and redis.call('ZSCORE', KEYS[1], ARGV[2]) then return {0, 0, 0, 0} end
if redis.call('EXISTS', KEYS[6]) == 0 then
  if held then release(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]) end
  return {-2}
end
for i = 13, #ARGV, 6 do
  local new = ARGV[i + 2]
  if new ~= '' and string.sub(new, 1, 12) <= string.sub(ARGV[i + 1], 1, 12) then
    return redis.error_reply('version must grow: ' .. ARGV[i + 1] .. ' -> ' .. new)
  end
end
local now = now_ms()
local applied, refused, fetches, updates = 0, 0, 0, {}
-- Few calls with many fields: a call for each field would double the time.
local subs, found, states, facts, counts, moved = {}, {}, {}, {}, {}, {}
for i = 13, #ARGV, 6 do subs[#subs + 1] = ARGV[i] end
slices(subs, function(...)
  for _, state in ipairs(redis.call('HMGET', KEYS[7], ...)) do found[#found + 1] = state end
end)
for j, sub in ipairs(subs) do
  local i = 7 + 6 * j
  if found[j] ~= ARGV[i + 1] then
    refused = refused + 1
  else
    facts[#facts + 1] = sub
    facts[#facts + 1] = ARGV[i + 3]
    if ARGV[i + 2] ~= '' then
      states[#states + 1] = sub
      states[#states + 1] = ARGV[i + 2]
      local old, new = string.sub(ARGV[i + 1], 14), string.sub(ARGV[i + 2], 14)
      counts[old] = (counts[old] or 0) - 1
      counts[new] = (counts[new] or 0) + 1
      moved[new] = (moved[new] or 0) + 1
      updates[#updates + 1] = ARGV[i + 4]
      applied = applied + 1
      if not held then -- whatever of it was set aside: its owner has ended it
        local name = ARGV[6] .. ':' .. sub
        local attempt = string.format('%d', tonumber(string.sub(ARGV[i + 1], 1, 5)))
        redis.call('HDEL', KEYS[15], name, name .. '@' .. attempt)
      end
      if ARGV[i + 5] ~= '' then
        redis.call('ZADD', KEYS[10], now, ARGV[6] .. ':' .. sub .. '@' .. ARGV[i + 5])
        fetches = fetches + 1
      end
    end
  end
end
slices(facts, function(...) redis.call('HSET', KEYS[8], ...) end)
slices(states, function(...) redis.call('HSET', KEYS[7], ...) end)
if applied > 0 then
  local lane = redis.call('HGET', KEYS[6], 'lane')
  for status, change in pairs(counts) do
    redis.call('HINCRBY', KEYS[6], 'n:' .. status, change)
    redis.call('HINCRBY', KEYS[18], 'jobs:' .. lane .. ':' .. status, change)
  end
  for status, count in pairs(moved) do
    redis.call('HINCRBY', KEYS[18], 'moved:' .. lane .. ':' .. status, count)
  end
  if ARGV[11] ~= '0' then
    redis.call('HINCRBY', KEYS[18], 'fetched_files:' .. lane, ARGV[11])
    redis.call('HINCRBY', KEYS[18], 'fetched_bytes:' .. lane, ARGV[12])
  end
end
if fetches > 0 then redis.call('SADD', KEYS[12], ARGV[7]) end
if applied > 0 then
  redis.call('XADD', KEYS[9], 'MAXLEN', '~', MAXLEN, '*', 'k', 't', 'e', redis.call('GET', KEYS[16]), 't', now,
    'm', ARGV[5], 'd', '[' .. table.concat(updates, ',') .. ']')
end
local merge = fan_in(KEYS[6], ARGV[6], KEYS[11], KEYS[12], ARGV[8], now)
if merge then
  calm(KEYS[6], KEYS[17], ARGV[6])
elseif ARGV[10] ~= '' and applied > 0 then
  wake(KEYS[6], KEYS[17], ARGV[6], KEYS[12], ARGV[9], now + ARGV[10])
end
if held then
  release(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
  redis.call('HDEL', KEYS[5], ARGV[2])
  redis.call('HDEL', KEYS[13], ARGV[2])
  if ARGV[3] ~= '' then
    local interval = tonumber(ARGV[3])
    local due = now + interval
    if ARGV[4] ~= '' then
      local shift = math.floor(tonumber(ARGV[4]) * interval)
      due = (math.floor((now - shift) / interval) + 1) * interval + shift
    end
    redis.call('ZADD', KEYS[4], due, ARGV[2])
    if KEYS[14] ~= '' and redis.call('EXISTS', KEYS[14]) == 1 then
      redis.call('HSET', KEYS[14], 'every', interval)
    end
  end
end
return {applied, refused, fetches, merge and 1 or 0}
