-- Takes a worker off the list of those that must not be silent, unless messages are still with it: somebody has to
-- notice its silence then and bring them back.
-- KEYS: heartbeats, what workers do, all queues
-- ARGV: worker
-- Returns whether it is off the list.
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  if redis.call('EXISTS', 'tandem:held:' .. ARGV[1] .. ':' .. queue) == 1 then
    return 0
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
