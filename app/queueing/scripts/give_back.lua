-- Puts messages that are with a worker back at the head of their queue, in the order given.
-- KEYS: payloads, ready, delayed, bell, held, deliveries
-- ARGV: 1 when their delivery does not count (nobody worked on them) or 0, then ids, first one first
-- Returns how many went back.
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
for _ = redis.call('LLEN', KEYS[4]) + 1, math.min(8, count) do
  redis.call('RPUSH', KEYS[4], 1)
end
return count
