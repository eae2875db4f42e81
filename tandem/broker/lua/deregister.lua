-- Remove a worker from those that must send heartbeats, unless it has claimed messages: then its missing heartbeat has
-- to be detected so that they are requeued. KEYS: heartbeats, states of workers, all queues ARGV: worker Returns 1 if
-- it was removed, otherwise 0.
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  if redis.call('EXISTS', 'tandem:held:' .. ARGV[1] .. ':' .. queue) == 1 then
    return 0
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
