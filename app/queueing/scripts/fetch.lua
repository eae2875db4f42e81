-- Takes messages off queues, the first queue first, and notes that they are with this worker. Of each queue those whose
-- time has come go before the ready ones. A bell is silenced only when there is nothing left that it could ring for.
-- KEYS: heartbeats, paused queues, then of each queue: payloads, ready, delayed, bell, held, deliveries
-- ARGV: worker, how many at most, then of each queue its name and how many of its messages may be with all workers
-- together (0: any number)
-- Returns ms until the next delayed message is due (-1: there is none), then of each message: number of its queue
-- (from 1), id, number of this delivery, payload.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = tonumber(ARGV[2])
local due_in = -1
local answer = {due_in}

-- The sets themselves are counted, and not a number beside them: what a dead worker held is free as soon as it is back.
local function with_workers(name)
  local count = 0
  for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    count = count + redis.call('ZCARD', 'tandem:held:' .. worker .. ':' .. name)
  end
  return count
end

local function places(name, most)
  if redis.call('SISMEMBER', KEYS[2], name) == 1 then
    return 0
  end
  return most == '0' and left or math.min(left, most - with_workers(name))
end

for queue = 1, (#ARGV - 2) / 2 do
  if left == 0 then
    break
  end
  local key = 2 + (queue - 1) * 6
  local room = places(ARGV[queue * 2 + 1], ARGV[queue * 2 + 2])
  local payloads, ready, delayed, bell = KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], KEYS[key + 4]
  if room > 0 then
    local ids = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, room)
    if #ids > 0 then
      redis.call('ZREM', delayed, unpack(ids))
    end
    if #ids < room then
      for _, id in ipairs(redis.call('LPOP', ready, room - #ids) or {}) do
        ids[#ids + 1] = id
      end
    end
    if #ids < room then
      redis.call('DEL', bell)
      local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
      if first[2] then
        local wait = math.max(0, first[2] - now)
        due_in = due_in < 0 and wait or math.min(due_in, wait)
      end
    end
    if #ids > 0 then
      local found = redis.call('HMGET', payloads, unpack(ids))
      -- Behind those of this very millisecond, too.
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
  -- Not at the beginning: with its memory full, Redis only lets a script add that has taken something away before.
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
answer[1] = due_in
return answer
