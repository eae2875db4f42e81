-- Puts a new message into its queue, at once or for later, and wakes an idle worker.
-- keys: payloads, ready, delayed, bell, all queues
-- arguments: queue, id, payload, delay in ms or -1
-- Returns 0 when there is a message with this id already, which then stays as it is.
-- A function, so that a script which stores something can send a message in the same step (see along.py).
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
  if redis.call('LLEN', keys[4]) < 8 then
    redis.call('RPUSH', keys[4], 1)
  end
  return 1
end
