-- Put one ready or delayed message aside: delayed until it is removed, or due again because that process was killed.
-- KEYS: ready list, delayed messages by the time when they are due
-- ARGV: id, time in ms until which it is put aside
-- Returns 1, or 0 if it is neither ready nor delayed.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 and not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[2], 'GT', ARGV[2], ARGV[1])
return 1
