-- Change an alert if it has not changed since it was read, so that exactly one of several monitors does.
-- KEYS: alerts hash
-- ARGV: name, JSON as it was read ('' for none), new JSON ('' to remove it)
-- Returns 1 if it was changed.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
