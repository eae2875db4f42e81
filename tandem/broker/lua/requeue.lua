-- Put messages that a worker has claimed back at the head of their queue, in the given order.
-- KEYS: payloads, ready, delayed, notify, claimed, deliveries
-- ARGV: 1 if their delivery does not count (they were not started) or 0, then ids, first one first
-- Returns how many were requeued.
local count = 0
for i = #ARGV, 2, -1 do
  local id = ARGV[i]
  if redis.call('ZREM', KEYS[5], id) == 1 and redis.call('HEXISTS', KEYS[1], id) == 1 then
    redis.call('LPUSH', KEYS[2], id)
    if ARGV[1] == '1' then
      redis.call('HINCRBY', KEYS[6], id, -1)
    end
    count = count + 1
  end
end
notify(KEYS[4], count)
return count
