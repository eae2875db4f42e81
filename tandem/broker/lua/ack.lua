-- Acknowledge messages of one queue: store how each ended, its new place and its counts in one step. Either a message
-- is acknowledged and counted, or it is still claimed by its worker. A worker that has lost a message (its delivery
-- count is higher by now) changes nothing.
-- KEYS: payloads, ready, delayed, notify, claimed, deliveries, dead, dead payloads, dead kinds, dead counts, slots, lanes
-- ARGV: how many values each message has: 12 if one has a lane (see lanes.lua), or 11. Then for each message: id, delivery
-- count, outcome, payload or '', detail, actor, class of the error of a retried attempt or '', histogram bucket of the
-- time that it waited, that time in us, histogram bucket of the time that it ran, that time in us, lane or ''
-- EDGES, MOST_ACTORS, OTHER and MOST_HANDLED are those of totals.py.
-- Outcomes: completed; retried (detail: delay in ms); failed (detail: kind of the dead letter); snoozed (detail: head or
-- tail of the queue, or a delay in ms), which is not counted.
-- Returns the ids that this worker had no longer claimed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lost, counts, times, totals, handled = {}, {}, {}, {}, {}
local queue = string.sub(KEYS[2], #'dramatiq:' + 1)
local worker = string.sub(KEYS[5], #'tandem:held:' + 1, -#queue - 2)
local prefix = string.format('%.0f', now) .. '\t' .. queue .. '\t'

local function add(sums, field, value)
  sums[field] = (sums[field] or 0) + value
end

local function place(id, outcome, payload, detail)
  redis.call('HDEL', KEYS[6], id)
  if outcome == 'completed' then
    redis.call('HDEL', KEYS[1], id)
  elseif outcome == 'failed' then
    redis.call('HDEL', KEYS[1], id)
    -- Unique messages with one key have one id, and each of them can become a dead letter.
    if redis.call('HEXISTS', KEYS[8], id) == 1 then
      id = id .. '~' .. string.format('%.0f', now)
    end
    redis.call('ZADD', KEYS[7], now, id)
    redis.call('HSET', KEYS[8], id, payload)
    redis.call('HSET', KEYS[9], id, detail)
    redis.call('HINCRBY', KEYS[10], detail, 1)
  else
    redis.call('HSET', KEYS[1], id, payload)
    if tonumber(detail) then
      redis.call('ZADD', KEYS[3], now + detail, id)
    else
      redis.call(detail == 'head' and 'LPUSH' or 'RPUSH', KEYS[2], id)
    end
    notify(KEYS[4], 1)
  end
end

local function free_slot(lane, id)
  redis.call('ZREM', KEYS[11], lane .. '\t' .. id .. '\t' .. KEYS[5])
  if redis.call('ZSCORE', KEYS[12], lane) then
    redis.call('ZADD', KEYS[12], now, lane)
    notify(KEYS[4], 1)
  end
end

-- Return what is counted for ever of an actor: under its own name, unless too many names were invented.
local known = {}
local function known_actor(actor)
  if not known[actor] then
    local name, names = string.gsub(string.sub(actor, 1, 120), '%c', '?'), 'tandem:actors:' .. queue
    if redis.call('SISMEMBER', names, name) == 0 then
      if redis.call('SCARD', names) < MOST_ACTORS then
        redis.call('SADD', names, name)
      else
        name = OTHER
      end
    end
    totals[name] = totals[name] or {name = name, outcomes = {completed = 0}, wait = {}, run = {}, waited = 0, ran = 0}
    known[actor] = totals[name]
  end
  return known[actor]
end

local function bucket(us)
  for number, edge in ipairs(EDGES) do
    if us <= edge then
      return number
    end
  end
  return #EDGES + 1
end

local function count_for_ever(i, outcome)
  local actor, waited, ran = known_actor(ARGV[i + 5]), tonumber(ARGV[i + 8]), tonumber(ARGV[i + 10])
  add(actor.outcomes, outcome, 1)
  add(actor.wait, bucket(waited), 1)
  add(actor.run, bucket(ran), 1)
  actor.waited, actor.ran = actor.waited + waited, actor.ran + ran
  local error = outcome == 'failed' and string.match(ARGV[i + 4], '\t(.*)$') or ARGV[i + 6]
  handled[#handled + 1] = prefix .. actor.name .. '\t' .. outcome .. '\t' .. ARGV[i + 8] .. '\t' ..
    ARGV[i + 10] .. '\t' .. worker .. '\t' .. error .. '\t' .. ARGV[i]
end

local width = tonumber(ARGV[1])
for i = 2, #ARGV, width do
  local id, outcome, actor = ARGV[i], ARGV[i + 2], ARGV[i + 5]
  if redis.call('HGET', KEYS[6], id) == ARGV[i + 1] and redis.call('ZREM', KEYS[5], id) == 1 then
    place(id, outcome, ARGV[i + 3], ARGV[i + 4])
    if width == 12 and ARGV[i + 11] ~= '' then
      free_slot(ARGV[i + 11], id)
    end
    if outcome ~= 'snoozed' then
      add(counts, actor .. '\t' .. outcome, 1)
      add(times, actor .. '\twait\t' .. ARGV[i + 7], 1)
      add(times, actor .. '\twait\tsum', ARGV[i + 8])
      add(times, actor .. '\trun\t' .. ARGV[i + 9], 1)
      add(times, actor .. '\trun\tsum', ARGV[i + 10])
      count_for_ever(i, outcome)
    end
  else
    lost[#lost + 1] = id
  end
end

local function store(key, sums, seconds)
  for field, value in pairs(sums) do
    redis.call('HINCRBY', key, field, string.format('%.0f', value))
  end
  redis.call('EXPIRE', key, seconds)
end

if redis.call('LLEN', KEYS[2]) > 0 and redis.call('LLEN', KEYS[4]) == 0 then
  -- With limited concurrency, another worker may wait for a free slot. If nothing above was acknowledged, a Redis whose
  -- memory is full refuses this, which is no reason for a retry: an idle worker also checks at intervals.
  redis.pcall('RPUSH', KEYS[4], 1)
end
if next(counts) then
  store('tandem:counts:1:' .. time[1], counts, 120)
  store('tandem:counts:60:' .. math.floor(time[1] / 60), counts, 3720)
  store('tandem:counts:900:' .. math.floor(time[1] / 900), counts, 88200)
  store('tandem:times:' .. math.floor(time[1] / 60), times, 3720)
  local key = 'tandem:totals:' .. queue
  for name, actor in pairs(totals) do
    for outcome, number in pairs(actor.outcomes) do
      redis.call('HINCRBY', key, name .. '\t' .. outcome, number)
    end
    for what, sum in pairs({wait = actor.waited, run = actor.ran}) do
      for number, messages in pairs(actor[what]) do
        redis.call('HINCRBY', key, name .. '\t' .. what .. '\t' .. number, messages)
      end
      redis.call('HINCRBY', key, name .. '\t' .. what .. '\tsum', string.format('%.0f', sum))
    end
  end
  redis.call('LPUSH', 'tandem:handled', unpack(handled))
  redis.call('LTRIM', 'tandem:handled', 0, MOST_HANDLED - 1)
end
return lost
