-- Delete messages that were put aside.
-- KEYS: delayed messages by the time when they are due, payloads hash, deliveries hash
-- ARGV: message ids
-- Returns how many were deleted.
local count = 0
for _, id in ipairs(ARGV) do
  if redis.call('ZREM', KEYS[1], id) == 1 then
    redis.call('HDEL', KEYS[2], id)
    redis.call('HDEL', KEYS[3], id)
    count = count + 1
  end
end
return count
