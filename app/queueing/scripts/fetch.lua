-- Takes messages off the head of a queue and notes that they are with this worker.
-- KEYS: queue list, payloads hash, the worker's set of unacknowledged ids, deliveries hash, heartbeats
-- ARGV: how many at most, worker id, time in ms
-- Returns ids and payloads in turn.
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[2])
local ids = redis.call('LPOP', KEYS[1], ARGV[1])
local taken = {}
for _, id in ipairs(ids or {}) do
  local payload = redis.call('HGET', KEYS[2], id)
  if payload then
    redis.call('SADD', KEYS[3], id)
    redis.call('HINCRBY', KEYS[4], id, 1)
    taken[#taken + 1] = id
    taken[#taken + 1] = payload
  end
end
return taken
