-- Delivers a message that is with this worker once more, and notes that the worker runs nothing else meanwhile.
-- KEYS: held, deliveries, what runs alone
-- ARGV: queue, id
-- Returns the number of the delivery, or 0 when the message is no longer with this worker.
if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then
  return 0
end
-- First takes away: with its memory full, Redis lets no script begin by adding.
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[3], ARGV[1] .. '\t' .. ARGV[2])
return redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
