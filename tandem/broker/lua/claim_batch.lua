-- Claim messages of queues for this worker, those of the first queue first. In each queue, delayed messages that are
-- due come before the ready ones. Notifications are cleared only when no message is left that they could be for. KEYS:
-- heartbeats, paused queues, then for each queue: payloads, ready, delayed, notify, claimed, deliveries ARGV: worker,
-- how many at most, then for each queue its name and how many of its messages all workers together may have claimed (0:
-- no limit) Returns ms until the next delayed message is due (-1: there is none), then for each message: number of its
-- queue (from 1), id, delivery count, payload.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = tonumber(ARGV[2])
local due_in = -1
local answer = {due_in}

-- Counts the sets themselves instead of keeping a separate counter: a dead worker's slots are free once its messages
-- are requeued.
local function claimed(name)
  local count = 0
  for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    count = count + redis.call('ZCARD', 'tandem:held:' .. worker .. ':' .. name)
  end
  return count
end

local function free_slots(name, limit)
  if redis.call('SISMEMBER', KEYS[2], name) == 1 then
    return 0
  end
  return limit == '0' and left or math.min(left, limit - claimed(name))
end

for queue = 1, (#ARGV - 2) / 2 do
  if left == 0 then
    break
  end
  local key = 2 + (queue - 1) * 6
  local free = free_slots(ARGV[queue * 2 + 1], ARGV[queue * 2 + 2])
  local payloads, ready, delayed, notify = KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], KEYS[key + 4]
  if free > 0 then
    local ids = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, free)
    if #ids > 0 then
      redis.call('ZREM', delayed, unpack(ids))
    end
    if #ids < free then
      for _, id in ipairs(redis.call('LPOP', ready, free - #ids) or {}) do
        ids[#ids + 1] = id
      end
    end
    if #ids < free then
      redis.call('DEL', notify)
      local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
      if first[2] then
        local wait = math.max(0, first[2] - now)
        due_in = due_in < 0 and wait or math.min(due_in, wait)
      end
    end
    if #ids > 0 then
      local found = redis.call('HMGET', payloads, unpack(ids))
      -- After those claimed in this very millisecond, too.
      local newest = redis.call('ZRANGE', KEYS[key + 5], -1, -1, 'WITHSCORES')[2]
      local since = math.max(now * 1000, tonumber(newest or 0))
      for i, id in ipairs(ids) do
        if found[i] then
          redis.call('ZADD', KEYS[key + 5], since + i, id)
          answer[#answer + 1] = queue
          answer[#answer + 1] = id
          answer[#answer + 1] = redis.call('HINCRBY', KEYS[key + 6], id, 1)
          answer[#answer + 1] = found[i]
          left = left - 1
        end
      end
    end
  end
end
if #answer > 1 then
  -- Not at the beginning: when its memory is full, Redis lets a script add data only after it has removed some.
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
answer[1] = due_in
return answer
