-- Take a command out of its inbox and answer it.
-- KEYS 1 inbox  2 updates  3 taken    ARGV 1 entry  2 command id  3 epoch  4 why ('' = done)
-- Returns 1, or 0 if the command was gone already.
if ARGV[1] ~= '' and redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[4] == '' then taken(KEYS[3], ARGV[2]) end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', MAXLEN, '*', 'k', 'a', 'e', ARGV[3], 't', now_ms(),
  'id', ARGV[2], 'why', ARGV[4])
return 1
