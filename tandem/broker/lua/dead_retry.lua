-- Requeue dead letters, each only if it has not failed again since it was read: a second retry finds nothing.
-- KEYS: dead letters by time, their payloads, their kinds, counts of the kinds, ready, payloads, all queues, notify
-- ARGV: queue, then id, failure time and new payload alternately
-- Returns how many were requeued.
local sent = {}
for i = 2, #ARGV, 3 do
  local id = ARGV[i]
  local dead = tonumber(redis.call('ZSCORE', KEYS[1], id)) == tonumber(ARGV[i + 1])
  -- Adds it to the queue first: Redis does not roll back a script that fails, and twice is better than lost.
  if dead and redis.call('HSETNX', KEYS[6], id, ARGV[i + 2]) == 1 then
    sent[#sent + 1] = id
    redis.call('RPUSH', KEYS[5], id)
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    local kind = redis.call('HGET', KEYS[3], id)
    if kind then
      redis.call('HDEL', KEYS[3], id)
      if redis.call('HINCRBY', KEYS[4], kind, -1) <= 0 then
        redis.call('HDEL', KEYS[4], kind)
      end
    end
  end
end
if #sent > 0 then
  redis.call('SADD', KEYS[7], ARGV[1])
  notify(KEYS[8], #sent)
end
return #sent
