-- Makes a message that is with this worker a dead letter.
-- KEYS: payloads hash, the worker's set of unacknowledged ids, deliveries hash, dead letters by time, their payloads
-- ARGV: message id, its payload with the reason, time in ms
local mine = redis.call('SREM', KEYS[2], ARGV[1])
if mine == 1 then
  redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
  redis.call('HSET', KEYS[5], ARGV[1], ARGV[2])
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
end
return mine
