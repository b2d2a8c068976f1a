-- Note how far a master's merge is, for those who watch it.
-- KEYS 1 claim  2 master
-- ARGV 1 token  2 member  3 bytes merged  4 files and  5 bytes that go in ('0': not known)
-- Returns 1 | 0 (its merge is over: nothing done) | -1 (not our claim)
if redis.call('HEXISTS', KEYS[1], 'm:' .. ARGV[2]) == 0 then return -1 end
local v = redis.call('HMGET', KEYS[2], 'phase', 'g:whole', 'g:first')
if v[1] ~= 'open' and v[1] ~= 'merge' then return 0 end
local now = now_ms()
redis.call('HSET', KEYS[2], 'g:bytes', ARGV[3], 'g:files', ARGV[4], 'g:whole', ARGV[5], 'g:until', now)
-- A merge that begins, and one that begins anew with less than there was, has a pace of its own.
if v[2] ~= ARGV[5] or not v[3] or tonumber(ARGV[3]) < tonumber(v[3]) then
  redis.call('HSET', KEYS[2], 'g:first', ARGV[3], 'g:since', now)
end
return 1
