-- Forgets a handled message.
-- KEYS: payloads hash, the worker's set of unacknowledged ids, deliveries hash
-- ARGV: message id
-- Returns 0 when the message was no longer with this worker.
local mine = redis.call('SREM', KEYS[2], ARGV[1])
if mine == 1 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
end
return mine
