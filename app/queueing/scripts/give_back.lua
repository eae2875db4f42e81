-- Puts messages of this worker back at the head of their queue, in the order given.
-- KEYS: queue list, payloads hash, the worker's set of unacknowledged ids, deliveries hash
-- ARGV: 1 when their delivery does not count (nobody worked on them) or 0, then message ids, first one first
-- Returns how many went back.
local count = 0
for i = #ARGV, 2, -1 do
  local id = ARGV[i]
  if redis.call('SREM', KEYS[3], id) == 1 and redis.call('HEXISTS', KEYS[2], id) == 1 then
    redis.call('LPUSH', KEYS[1], id)
    if ARGV[1] == '1' then
      redis.call('HINCRBY', KEYS[4], id, -1)
    end
    count = count + 1
  end
end
return count
