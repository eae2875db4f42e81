-- Deliver a message that this worker has claimed again, and note that the worker runs only this message.
-- KEYS: claimed, deliveries, isolated run
-- ARGV: queue, id
-- Returns the delivery count, or 0 if the worker has no longer claimed the message.
if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then
  return 0
end
-- Removes first: when its memory is full, Redis lets no script begin by adding data.
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[3], ARGV[1] .. '\t' .. ARGV[2])
return redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
