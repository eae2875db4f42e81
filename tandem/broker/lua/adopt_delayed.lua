-- Take over delayed messages that dramatiq's own broker has sent.
-- KEYS: its list of delayed ids, its payloads of them, payloads, delayed, notify, all queues
-- ARGV: queue, then id, payload and time (ms) when it is due alternately
-- Returns how many were taken over; an id that is taken stays where it is.
local count = 0
for i = 2, #ARGV, 3 do
  local id = ARGV[i]
  -- Adds first: Redis does not roll back a script that fails, and twice is better than lost.
  if redis.call('HSETNX', KEYS[3], id, ARGV[i + 1]) == 1 then
    redis.call('ZADD', KEYS[4], ARGV[i + 2], id)
    redis.call('LREM', KEYS[1], 1, id)
    redis.call('HDEL', KEYS[2], id)
    count = count + 1
  end
end
if count > 0 then
  redis.call('SADD', KEYS[6], ARGV[1])
  notify(KEYS[5], count)
end
return count
