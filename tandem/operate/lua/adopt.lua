-- Take over messages that dramatiq's own broker has left in one place. Each is added here before it is removed there:
-- Redis does not roll back a script that fails, and twice is better than lost.
-- KEYS: where the ids are there, their payloads there, payloads, ready, delayed, notify, all queues, dead, dead payloads,
-- dead kinds, dead counts
-- ARGV: queue, type of the place there ('list', 'set' or 'zset'), where they belong ('ready', 'delayed' or 'dead'), then for
-- each message: id, payload, time (ms) when it is due or when it failed, kind of the dead letter
-- Returns how many were taken over.
local function is_there(id)
  if ARGV[2] == 'list' then
    return redis.call('LPOS', KEYS[1], id) ~= false
  elseif ARGV[2] == 'set' then
    return redis.call('SISMEMBER', KEYS[1], id) == 1
  end
  return redis.call('ZSCORE', KEYS[1], id) ~= false
end

local function remove(id)
  if ARGV[2] == 'list' then
    redis.call('LREM', KEYS[1], 1, id)
  else
    redis.call(ARGV[2] == 'set' and 'SREM' or 'ZREM', KEYS[1], id)
  end
end

local count = 0
for i = 4, #ARGV, 4 do
  local id, payload, time, kind = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if is_there(id) then
    if ARGV[3] == 'dead' then
      redis.call('HSET', KEYS[9], id, payload)
      if redis.call('HSETNX', KEYS[10], id, kind) == 1 then
        redis.call('HINCRBY', KEYS[11], kind, 1)
      end
      redis.call('ZADD', KEYS[8], time, id)
    else
      redis.call('HSET', KEYS[3], id, payload)
      if ARGV[3] == 'ready' then
        redis.call('RPUSH', KEYS[4], id)
      else
        redis.call('ZADD', KEYS[5], time, id)
      end
    end
    -- In the same namespace some places are the same: what was just added stays.
    if KEYS[1] ~= KEYS[8] then
      remove(id)
    end
    if KEYS[2] ~= KEYS[3] and KEYS[2] ~= KEYS[9] then
      redis.call('HDEL', KEYS[2], id)
    end
    count = count + 1
  end
end
if count > 0 then
  redis.call('SADD', KEYS[7], ARGV[1])
  notify(KEYS[6], count)
end
return count
