-- Make one waiting message the next of its queue.
-- KEYS: ready, delayed, notify
-- ARGV: id
-- Returns 'next', or 'no' if it neither is ready nor delayed.
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 and redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
  return 'no'
end
redis.call('LPUSH', KEYS[1], ARGV[1])
notify(KEYS[3], 1)
return 'next'
