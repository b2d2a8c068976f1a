-- Record the result of a master's stage; make the next stage due, or end the master.
-- KEYS 1 claim  2 leases  3 slots  4 tries  5 master  6 updates  7 due of the next stage  8 queues
--      9 strikes  10 ended  11 grown  12 counted
-- ARGV 1 token  2 member  3 stage  4 attempt  5 result (json)  6 next queue ('' = last stage)
--      7 next stage  8 final status  9 master id  10 epoch  11 next member  12 name (O:R:M)
--      13 files and  14 bytes that were written
-- Returns 1 | 0 (that attempt's stage is over: nothing done) | -1 (not our claim)
if redis.call('HEXISTS', KEYS[1], 'm:' .. ARGV[2]) == 0 then return -1 end
release(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[4], ARGV[2], 'why:' .. ARGV[2])
redis.call('HDEL', KEYS[9], ARGV[2])
local v = redis.call('HMGET', KEYS[5], 'attempt', 'phase', 'lane')
if v[1] ~= ARGV[4] or v[2] ~= ARGV[3] then return 0 end
local now = now_ms()
if ARGV[13] ~= '0' then
  redis.call('HINCRBY', KEYS[12], 'merged_files:' .. v[3], ARGV[13])
  redis.call('HINCRBY', KEYS[12], 'merged_bytes:' .. v[3], ARGV[14])
end
redis.call('HSET', KEYS[5], 'r:' .. ARGV[3], ARGV[5])
if ARGV[3] == 'merge' then
  redis.call('HDEL', KEYS[11], ARGV[12])
  redis.call('HDEL', KEYS[5], 'g:bytes', 'g:files', 'g:whole', 'g:first', 'g:since', 'g:until')
end
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[5], 'phase', ARGV[7])
  redis.call('ZADD', KEYS[7], now, ARGV[11])
  redis.call('SADD', KEYS[8], ARGV[6])
  return 1
end
redis.call('HSET', KEYS[5], 'phase', 'done', 'status', ARGV[8], 'ended', now)
redis.call('ZADD', KEYS[10], now, ARGV[12])
redis.call('HINCRBY', KEYS[12], 'ended:' .. v[3] .. ':' .. ARGV[8], 1)
local r = redis.call('HMGET', KEYS[5], 'r:merge', 'r:check', 'r:notify')
redis.call('XADD', KEYS[6], 'MAXLEN', '~', MAXLEN, '*', 'k', 'f', 'e', ARGV[10], 't', now,
  'm', ARGV[9], 'a', ARGV[4], 's', ARGV[8], 'merge', r[1] or '', 'check', r[2] or '',
  'notify', r[3] or '')
return 1
