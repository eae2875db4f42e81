-- Put new messages into their queues: all of them, or none if an id is taken.
-- KEYS: for each queue: payloads, ready, delayed, notify; last: all queues
-- ARGV: for each message: number of its queue (from 1), queue, id, payload, delay in ms or -1; at most 500 messages, since
-- unpack has a limit
-- Returns the numbers (from 1) of the messages whose ids are taken.
local taken = {}
for i = 1, #ARGV, 5 do
  if redis.call('HEXISTS', KEYS[ARGV[i] * 4 - 3], ARGV[i + 2]) == 1 then
    taken[#taken + 1] = (i + 4) / 5
  end
end
if #taken > 0 then
  return taken
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local queues = {}
for i = 1, #ARGV, 5 do
  local queue = queues[ARGV[i]] or {name = ARGV[i + 1], payloads = {}, ready = {}, delayed = {}}
  queues[ARGV[i]] = queue
  queue.payloads[#queue.payloads + 1] = ARGV[i + 2]
  queue.payloads[#queue.payloads + 1] = ARGV[i + 3]
  if ARGV[i + 4] == '-1' then
    queue.ready[#queue.ready + 1] = ARGV[i + 2]
  else
    queue.delayed[#queue.delayed + 1] = now + ARGV[i + 4]
    queue.delayed[#queue.delayed + 1] = ARGV[i + 2]
  end
end
for number, queue in pairs(queues) do
  local key = number * 4 - 3
  redis.call('HSET', KEYS[key], unpack(queue.payloads))
  redis.call('SADD', KEYS[#KEYS], queue.name)
  if #queue.ready > 0 then
    redis.call('RPUSH', KEYS[key + 1], unpack(queue.ready))
  end
  if #queue.delayed > 0 then
    redis.call('ZADD', KEYS[key + 2], unpack(queue.delayed))
  end
  notify(KEYS[key + 3], #queue.payloads / 2)
end
return {}
