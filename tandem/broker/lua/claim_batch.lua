-- Claim messages of queues for this worker, those of the first queue first. In each queue, parked messages come first,
-- then delayed ones that are due, then the ready ones. Notifications are cleared only when no message is left that they
-- could be for.
-- KEYS: heartbeats, paused queues, then for each queue: payloads, ready, delayed, notify, claimed, deliveries
-- ARGV: worker, how many at most, then for each queue its name, how many of its messages all workers together may have
-- claimed (0: no limit), and its rate: how many in how many ms (0: no limit); then for each actor with limits: number of
-- its queue (from 1), its name, how many of its messages may be claimed (0: no limit), their rate as above, and 1 if
-- each key has these limits of its own
-- Returns ms until it is worth claiming again (-1: there is nothing to wait for), ids and lanes of messages with limits,
-- then for each message: number of its queue, id, delivery count, payload.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local microseconds = time[1] * 1000000 + time[2]
local left = tonumber(ARGV[2])
local due_in = -1
local lanes = {}
local answer = {due_in, lanes}
local queues = (#KEYS - 2) / 6
-- One call parks at most so many messages of a queue, so that it does not block Redis for long.
local MOST_PARKED = 500

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

local function wait_at_most(ms)
  due_in = due_in < 0 and ms or math.min(due_in, ms)
end

local function limits_by_queue()
  local found = {}
  for i = 3 + queues * 4, #ARGV, 6 do
    local queue = tonumber(ARGV[i])
    found[queue] = found[queue] or {}
    found[queue][ARGV[i + 1]] = {
      most = tonumber(ARGV[i + 2]),
      count = tonumber(ARGV[i + 3]),
      window = tonumber(ARGV[i + 4]),
      keyed = ARGV[i + 5] == '1'
    }
  end
  return found
end

local function next_ids(delayed, ready, count)
  local ids = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, count)
  if #ids > 0 then
    redis.call('ZREM', delayed, unpack(ids))
  end
  if #ids < count then
    for _, id in ipairs(redis.call('LPOP', ready, count - #ids) or {}) do
      ids[#ids + 1] = id
    end
  end
  return ids
end

-- Takes the ids at the head of the ready list that were claimed before, at most `count`.
local function requeued(keys, count)
  local ids, number = redis.call('LRANGE', keys.ready, 0, count - 1), 0
  while number < #ids and redis.call('HEXISTS', keys.deliveries, ids[number + 1]) == 1 do
    number = number + 1
  end
  return number > 0 and redis.call('LPOP', keys.ready, number) or {}
end

-- Returns at most `free` ids that the limits of actors allow, their lanes, and whether there is nothing more to claim.
local function next_allowed(name, limits, keys, free)
  local lane_by_id, is_empty = {}, false
  -- What was claimed before goes ahead of what is parked, so that a lane keeps its order.
  local ids, parked = take_or_park(name, limits, keys, requeued(keys, free), now, microseconds, lane_by_id)
  if #ids < free then
    local more, lanes_of_more = take_parked(name, limits, keys, now, free - #ids)
    for _, id in ipairs(more) do
      ids[#ids + 1] = id
      lane_by_id[id] = lanes_of_more[id]
    end
  end
  while #ids < free and parked < MOST_PARKED and not is_empty do
    local found = next_ids(keys.delayed, keys.ready, free - #ids)
    is_empty = #found < free - #ids
    local taken, more = take_or_park(name, limits, keys, found, now, microseconds + parked, lane_by_id)
    parked = parked + more
    for _, id in ipairs(taken) do
      ids[#ids + 1] = id
    end
  end
  local first = redis.call('ZRANGE', 'dramatiq:' .. name .. '.lanes', 0, 0, 'WITHSCORES')
  if first[2] then
    wait_at_most(math.max(0, first[2] - now))
  end
  if not is_empty then
    wait_at_most(0)
  end
  return ids, lane_by_id, is_empty
end

local limits = #ARGV > 2 + queues * 4 and limits_by_queue() or {}
for queue = 1, queues do
  if left == 0 then
    break
  end
  local key, argument = 2 + (queue - 1) * 6, queue * 4 - 2
  local payloads, ready, delayed, notify = KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], KEYS[key + 4]
  local name, count, window = ARGV[argument + 1], tonumber(ARGV[argument + 3]), tonumber(ARGV[argument + 4])
  local free, pause = free_slots(name, ARGV[argument + 2]), nil
  if count > 0 and free > 0 then
    local most, wait = allowed(name, count, window, now)
    if most < free then
      free, pause = most, wait
    end
  end
  if free > 0 then
    local ids, lane_by_id, is_empty
    if limits[queue] then
      local keys = {payloads = payloads, ready = ready, delayed = delayed}
      keys.claimed, keys.deliveries = KEYS[key + 5], KEYS[key + 6]
      ids, lane_by_id, is_empty = next_allowed(name, limits[queue], keys, free)
      for id, lane in pairs(lane_by_id) do
        lanes[#lanes + 1] = id
        lanes[#lanes + 1] = lane
      end
    else
      ids = next_ids(delayed, ready, free)
      is_empty = #ids < free
    end
    if is_empty then
      redis.call('DEL', notify)
      local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
      if first[2] then
        wait_at_most(math.max(0, first[2] - now))
      end
    end
    if #ids > 0 then
      local found = redis.call('HMGET', payloads, unpack(ids))
      -- After those claimed in this very millisecond, too.
      local newest = redis.call('ZRANGE', KEYS[key + 5], -1, -1, 'WITHSCORES')[2]
      local since = math.max(now * 1000, tonumber(newest or 0))
      if count > 0 then
        use(name, count, window, now, #ids)
        if pause then
          pause = select(2, allowed(name, count, window, now))
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
        else
          redis.call('ZREM', KEYS[key + 5], id)
        end
      end
    end
  end
  if pause and redis.call('LLEN', ready) + redis.call('ZCARD', delayed) > 0 then
    wait_at_most(pause)
  end
end
if #answer > 2 then
  -- Not at the beginning: when its memory is full, Redis lets a script add data only after it has removed some.
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
answer[1] = due_in
return answer
