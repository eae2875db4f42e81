-- Claim messages of queues for this worker, those of the first queue first. In each queue, delayed messages that are
-- due come before the ready ones. Notifications are cleared only when no message is left that they could be for. KEYS:
-- heartbeats, paused queues, then for each queue: payloads, ready, delayed, notify, claimed, deliveries ARGV: worker,
-- how many at most, then for each queue its name, how many of its messages all workers together may have claimed (0: no
-- limit), and its rate: how many in how many ms (0: no limit) Returns ms until the next delayed message is due (-1: there is none), then for each message: number of its
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

-- The generic cell rate algorithm (ITU-T I.371): the key has the time when the queue is on schedule again. A tenth of the
-- rate may start at once. Returns how many may start now, and the ms until one more may.
local function allowed(name, count, window)
  local interval, burst = window / count, math.max(1, math.floor(count / 10))
  local ahead = math.max(0, tonumber(redis.call('GET', 'tandem:rate:' .. name) or 0) - now)
  return math.floor(burst - ahead / interval + 1e-9), math.max(1, math.ceil(ahead - (burst - 1) * interval))
end

local function use(name, count, window, used)
  local key, interval = 'tandem:rate:' .. name, window / count
  local from = math.max(now, tonumber(redis.call('GET', key) or 0))
  redis.call('SET', key, string.format('%.3f', from + used * interval), 'PX', math.ceil(2 * window))
end

for queue = 1, (#ARGV - 2) / 4 do
  if left == 0 then
    break
  end
  local key, argument = 2 + (queue - 1) * 6, queue * 4 - 2
  local name, count, window = ARGV[argument + 1], tonumber(ARGV[argument + 3]), tonumber(ARGV[argument + 4])
  local free, pause = free_slots(name, ARGV[argument + 2]), nil
  if count > 0 and free > 0 then
    local most, wait = allowed(name, count, window)
    if most < free then
      free, pause = most, wait
    end
  end
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
      if count > 0 then
        use(name, count, window, #ids)
        if pause then
          pause = select(2, allowed(name, count, window))
        end
      end
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
  if pause and redis.call('LLEN', ready) + redis.call('ZCARD', delayed) > 0 then
    due_in = due_in < 0 and pause or math.min(due_in, pause)
  end
end
if #answer > 1 then
  -- Not at the beginning: when its memory is full, Redis lets a script add data only after it has removed some.
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
answer[1] = due_in
return answer
