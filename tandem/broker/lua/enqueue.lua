-- Put a new message into its queue, ready or delayed, and wake an idle worker.
-- keys: payloads, ready, delayed, notify, all queues
-- arguments: queue, id, payload, delay in ms or -1
-- Returns 0 if a message with this id already exists, which then stays unchanged.
-- A function, so that a script that stores data can enqueue a message in the same step (see outbox.py).
local function enqueue(keys, arguments)
  if redis.call('HSETNX', keys[1], arguments[2], arguments[3]) == 0 then
    return 0
  end
  redis.call('SADD', keys[5], arguments[1])
  if arguments[4] == '-1' then
    redis.call('RPUSH', keys[2], arguments[2])
  else
    local time = redis.call('TIME')
    redis.call('ZADD', keys[3], time[1] * 1000 + math.floor(time[2] / 1000) + arguments[4], arguments[2])
  end
  notify(keys[4], 1)
  return 1
end
