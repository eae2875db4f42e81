-- Forgets the oldest dead letters, a bounded number at a time so that Redis is never held for long.
-- KEYS: dead letters by time, their payloads
-- ARGV: time in ms before which they are forgotten, how many at most
-- Returns how many.
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
return #ids
