-- Changes an alert if it is still as it was read, so that of several monitors exactly one does.
-- KEYS: alerts hash
-- ARGV: name, JSON as it was read ('' for none), JSON as it should be ('' to forget it)
-- Returns 1 when it was changed.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
